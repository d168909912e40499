"""Run notebooks in a kernel, keep what they show, small, and say how long each takes.

    python benchmarks/notebooks.py                      # all six, about ten minutes on two cores
    python benchmarks/notebooks.py 3_recurrent_gradients

Figures become JPEG files of the width in which they are shown. The last line of the first cell,
which says how many minutes the notebook takes, is written from the watch.
"""

import base64
import io
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parents[1] / "notebooks"
WIDTH, QUALITY = 700, 70  # pixels and JPEG's


def executed(path: Path) -> nbformat.NotebookNode:
    """Return a notebook with its outputs, run in a folder that is removed afterwards."""
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "notebooks"
        place.mkdir()
        (Path(folder) / "configs").symlink_to(FOLDER.parent / "configs")
        start = time.perf_counter()
        NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": place}}).execute()
        seconds = time.perf_counter() - start
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ in every run
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if png := data.pop("image/png", None):
                data["image/jpeg"] = _small(png)
            data.pop("text/html", None)  # of tables: their text is enough, without its colors
            if text := data.get("text/plain"):
                data["text/plain"] = re.sub(r"\x1b\[[\d;]*m", "", text)
        shown = [o for o in cell.get("outputs", ()) if o.output_type != "display_data" or _says(o)]
        if "outputs" in cell:
            cell.outputs = shown
    first = notebook.cells[0]
    first.source = re.sub(r"\n\nIt takes .*$", "", first.source, flags=re.DOTALL)
    first.source += f"\n\nIt takes about {_said(seconds)} on two cores."
    return notebook


def _says(output: nbformat.NotebookNode) -> bool:
    return any(name != "text/plain" or text for name, text in output.data.items())


def _said(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes > 1 else "a minute"


def _small(png: str) -> str:
    with Image.open(io.BytesIO(base64.b64decode(png))) as shown:
        image = shown.convert("RGB")
    image.thumbnail((WIDTH, 3 * WIDTH))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        if path.stem in (sys.argv[1:] or [path.stem]):
            notebook = executed(path)
            nbformat.write(notebook, path)
            print(f"{path.name}: {path.stat().st_size:,} bytes, {notebook.cells[0].source[-40:]!r}")
