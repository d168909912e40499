"""Tasks and datasets as plugins for PyTorch Lightning, driven by YAML.

Nothing heavy is imported here, so that ``lit-tasks --help`` answers at once.
"""

__version__ = "0.1.0"
