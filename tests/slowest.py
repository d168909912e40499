"""Time the default run of the tests, and write the result into README and the contributing guide.

    python tests/slowest.py          # `make test`, with its ten slowest tests
    python tests/slowest.py --all    # `make test-all`, its time alone

The pages hold what was measured between two comments that name the run.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
README, GUIDE = ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md"


def run(target: str) -> tuple[float, str]:
    """Return the minutes that a target takes and the lines about its slowest tests."""
    words = ["make", target, "PYTEST_OPTIONS=--durations=10 --durations-min=0"]
    started = time.monotonic()
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    minutes = (time.monotonic() - started) / 60
    print(done.stdout[-3000:])
    if done.returncode:
        sys.exit(f"{target} failed: its time says nothing")
    return minutes, done.stdout


def table(output: str) -> str:
    """Return the slowest tests as a table."""
    rows = re.findall(r"^([\d.]+)s (call|setup) +tests/(\S+)", output, flags=re.MULTILINE)
    lines = [f"| {seconds} | {phase} | `{name}` |" for seconds, phase, name in rows]
    return "\n".join(["| seconds | | test |", "| --- | --- | --- |", *lines])


def replaced(path: Path, name: str, content: str) -> None:
    """Put the content between the comments of this name."""
    pattern = rf"(<!-- {name} -->)(.*?)(<!-- /{name} -->)"
    text, count = re.subn(
        pattern, lambda m: f"{m[1]}{content}{m[3]}", path.read_text(), flags=re.DOTALL
    )
    if count != 1:
        sys.exit(f"{path} must hold the comments {name} once, it holds them {count} times")
    path.write_text(text)


def main(words: list[str]) -> None:
    """Measure one target."""
    target = "test-all" if "--all" in words else "test"
    minutes, output = run(target)
    for path in (README, GUIDE):
        replaced(path, target, f"{minutes:.1f} minutes")
    if target == "test":
        replaced(GUIDE, "slowest", f"\n{table(output)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
