"""Scenes and strokes drawn by code, for a machine without data."""
