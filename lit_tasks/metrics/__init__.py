"""Metrics that torchmetrics lacks, or computes otherwise than the field reports them."""
