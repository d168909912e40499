"""Lightning callbacks: what observes a run and writes files, one thing per file."""
