"""Parameters around :mod:`lit_tasks.functional`: plain PyTorch modules."""
