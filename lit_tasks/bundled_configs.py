"""Configs that come with the package: found by name wherever a command is run.

In a wheel they lie inside the package, in a checkout beside it.
"""

from difflib import get_close_matches
from pathlib import Path

_INSIDE = Path(__file__).parent / "configs"
FOLDER = _INSIDE if _INSIDE.is_dir() else Path(__file__).parents[1] / "configs"


def found(path: Path, kind: str = "") -> Path:
    """Return a config file: the user's own where there is one, else the shipped one of that name.

    Args:
        path: What was written: ``quickstart``, ``quickstart.yaml`` or ``configs/quickstart.yaml``.
        kind: Folder within ``configs``, such as ``sweeps``.

    Returns:
        The path as it was written, if there is neither.
    """
    shipped = FOLDER / kind / f"{path.stem}.yaml"
    is_named = path.parent in (Path(), Path("configs", kind)) and path.suffix in ("", ".yaml")
    return shipped if is_named and not path.is_file() and shipped.is_file() else path


def shipped(name: str) -> Path:
    """Return a config that comes with the package, whatever files lie in the working directory.

    Raises:
        ValueError: There is none of that name; names the nearest.
    """
    path = FOLDER / f"{Path(name).stem}.yaml"
    if Path(name).suffix not in ("", ".yaml") or not path.is_file():
        near = get_close_matches(Path(name).stem, names(""), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`lit-tasks list configs` shows them"
        raise ValueError(f"there is no shipped config {name!r}; {hint}")
    return path


def names(suffix: str, kind: str = "") -> list[str]:
    """Return the names of the shipped configs, each with the suffix that is asked for."""
    return sorted(file.stem + suffix for file in (FOLDER / kind).glob("*.yaml"))
