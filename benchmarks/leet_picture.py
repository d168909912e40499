"""A picture of W&B's terminal viewer on a run of ours, for the documentation.

    python benchmarks/leet_picture.py RUN docs/figures/leet.svg

It starts ``wandb leet`` in tmux, waits until its curves are drawn, and writes the screen as SVG.
"""

import argparse
import io
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

SESSION = "lit_tasks_leet"


def tmux(*words: str) -> str:
    return subprocess.run(["tmux", *words], check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=150)
    parser.add_argument("--height", type=int, default=42)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--keys", default="", help="typed before the picture, such as '['")
    options = parser.parse_args()
    (folder,) = options.run.glob("wandb/offline-run-*")
    viewer = f"{sys.executable} -m wandb leet {folder}"
    size = ["-x", str(options.width), "-y", str(options.height)]
    tmux("new-session", "-d", "-s", SESSION, *size, viewer)
    try:
        time.sleep(options.seconds)
        for key in options.keys:
            tmux("send-keys", "-t", SESSION, key)
            time.sleep(1)
        screen = tmux("capture-pane", "-e", "-p", "-t", SESSION)
    finally:
        tmux("kill-session", "-t", SESSION)
    console = Console(record=True, width=options.width, file=io.StringIO())
    console.print(Text.from_ansi(screen), soft_wrap=True)
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    options.picture.write_text(
        console.export_svg(title=f"wandb leet {options.run}/wandb/offline-…")
    )


if __name__ == "__main__":
    main()
