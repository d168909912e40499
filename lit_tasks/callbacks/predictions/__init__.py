"""Predictions as files: complete, in input order, on any number of processes."""
