"""The same numbers on any number of processes, and runs that resume at any step."""
