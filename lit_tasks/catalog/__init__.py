"""What there is to choose from, told without importing it: configs, classes, options."""
