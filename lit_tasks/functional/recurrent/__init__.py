"""Recurrent networks: forward and backward of a step and of whole sequences."""
