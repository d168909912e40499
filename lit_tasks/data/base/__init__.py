"""What data modules of one kind share."""
