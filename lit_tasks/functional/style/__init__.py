"""Losses and colors of style transfer."""
