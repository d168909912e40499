"""Tensors in, tensors out: formulas and their derivatives, without parameters or state."""
