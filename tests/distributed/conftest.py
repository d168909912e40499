"""Makes ``tests/processes.py`` importable, here and in the processes it starts."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
