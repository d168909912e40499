"""An image of W&B's terminal viewer on a run of ours, for the documentation.

    python benchmarks/leet_screenshot.py RUN docs/figures/leet.png --filter 'train|val/(acc|loss)'

It starts ``wandb leet`` in tmux, waits until its curves are drawn, and draws the screen with
matplotlib's fonts. It needs tmux and ``pip install resvg-py``.
"""

import argparse
import io
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
from PIL import Image
from rich.console import Console
from rich.text import Text

SESSION = "lit_tasks_leet"


def tmux(*words: str) -> str:
    return subprocess.run(["tmux", *words], check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--width", type=int, default=150)
    parser.add_argument("--height", type=int, default=42)
    parser.add_argument("--pixels", type=int, default=1400)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--filter", default="", help="a pattern of metrics to show")
    options = parser.parse_args()
    import resvg_py  # type: ignore[import-not-found, unused-ignore]  # in no extra of ours

    (folder,) = options.run.glob("wandb/offline-run-*")
    viewer = f"{sys.executable} -m wandb leet {folder}"
    size = ["-x", str(options.width), "-y", str(options.height)]
    tmux("new-session", "-d", "-s", SESSION, *size, viewer)
    try:
        time.sleep(options.seconds)
        if options.filter:
            tmux("send-keys", "-t", SESSION, "/")
            tmux("send-keys", "-t", SESSION, "-l", options.filter)
            tmux("send-keys", "-t", SESSION, "Enter")
            time.sleep(2)
        screen = tmux("capture-pane", "-e", "-p", "-t", SESSION)
    finally:
        tmux("kill-session", "-t", SESSION)
    console = Console(record=True, width=options.width, file=io.StringIO())
    console.print(Text.from_ansi(screen), soft_wrap=True)
    svg = console.export_svg(title="wandb leet")
    fonts = Path(matplotlib.get_data_path()) / "fonts/ttf"
    names = ("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSans.ttf")
    png = resvg_py.svg_to_bytes(
        svg_string=svg,
        font_files=[str(fonts / name) for name in names],
        monospace_family="DejaVu Sans Mono",
        width=options.pixels,
    )
    options.image.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(io.BytesIO(bytes(png))).quantize(48)
    image.save(options.image, optimize=True)


if __name__ == "__main__":
    main()
