"""Archives that were downloaded, unpacked whole or not at all."""

import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from lit_tasks.zip_files import DAMAGED, check_sizes


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip file into a folder; what it holds appears there only when all is unpacked.

    Raises:
        ValueError: The file is damaged, would unpack to far more than its size, holds a name that
            leads out of the folder, or something that is there already.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            check_sizes(opened, archive)
            for name in opened.namelist():
                parts = PurePosixPath(name.replace("\\", "/"))
                if parts.is_absolute() or ".." in parts.parts or ":" in name:
                    raise ValueError(
                        f"{archive} holds the name {name}, which leads out of its folder: it is "
                        "not what it should be, delete it"
                    )
            with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as beside:
                opened.extractall(beside)
                for path in Path(beside).iterdir():
                    if (folder / path.name).exists():
                        raise ValueError(f"{folder / path.name} is there already; move it away")
                    path.rename(folder / path.name)
    except DAMAGED as error:
        raise ValueError(
            f"{archive} is not a complete zip file ({error}); delete it and download it again"
        ) from error
