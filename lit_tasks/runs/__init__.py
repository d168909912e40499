"""Run folders, read and started without any framework: comparing them, and sweeps of them."""
