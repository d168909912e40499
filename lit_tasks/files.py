"""Files that somebody else may have named or written: JSON and YAML are read within limits.

A kilobyte can stand for gigabytes (aliases of YAML) or use up the interpreter's stack (brackets
within brackets). Both are refused in a sentence instead of being tried.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # six times faster where libyaml is there

MAX_BYTES = 16 << 20
"""Of a file of settings or results: the largest of our own have a hundredth of that."""
MAX_NODES = 100_000
"""Keys, values and lists of a YAML file, an alias counted as all that it stands for: 200 MB."""
MAX_DEPTH = 100
"""Mappings and lists within one another."""
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_DOWNLOADS = {
    "http": "curl -LO {}",
    "https": "curl -LO {}",
    "s3": "aws s3 cp --recursive {} .",
    "gs": "gcloud storage cp -r {} .",
    "hf": "the program hf of huggingface_hub",
}
_MAX_PLAIN = 100_000  # characters: to find out whether more are a number takes for ever


class RepeatedKeyError(ValueError):
    """One key stands twice in an object, so that one of its values would be lost."""


def unrepeated(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these keys and values.

    Raises:
        RepeatedKeyError: A key stands twice; names it.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RepeatedKeyError(repeated(pairs))
    return found


def repeated(pairs: Sequence[tuple[str, Any]]) -> str:
    """Return a clause about the first key that stands twice among keys and values, or nothing."""
    seen = set[str]()
    for key, _ in pairs:
        if key in seen:
            return f"the key '{key:.60}' stands twice in one object"
        seen.add(key)
    return ""


def parse_json(text: str | bytes) -> Any:
    """Return the value that a JSON text stands for.

    Raises:
        ValueError: It is not JSON (``json.JSONDecodeError`` and ``UnicodeDecodeError`` say where),
            a key stands twice in an object, or brackets stand within brackets too often.
    """
    try:
        return json.loads(text, object_pairs_hook=unrepeated)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None


def read_json(path: Path) -> Any:
    """Return the value in a small JSON file.

    Raises:
        ValueError: It is not JSON or too large; the sentence names file and line.
    """
    try:
        return parse_json(_small_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}, is not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not JSON: it is not UTF-8 text") from error
    except _TooLargeError:
        raise
    except ValueError as error:  # nested too deeply, or a number of too many digits
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ValueError: It holds something else, or more than a limit allows; the sentence names the
            file, and the line where there is one.
    """
    text = ""
    try:
        text = _small_text(path)
        content = parse_yaml(text)
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark.line if error.problem_mark else 0
        line = (
            min(place, text.strip().count("\n")) + 1
        )  # the end of a file is not a line of its own
        raise ValueError(f"{path}, line {line}, is not YAML: {error.problem}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is not YAML: it is not UTF-8 text") from error
    except _TooLargeError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ValueError(f"{path} must hold a mapping of settings to values, got {kind}")
    return content


def parse_yaml(text: str) -> Any:
    """Return the value that a YAML text stands for.

    Raises:
        ValueError: It stands for more than a limit allows.
        yaml.YAMLError: It is not YAML, or a key stands twice in a mapping.
    """
    check_yaml(text)
    return yaml.load(text, _LOADER)


def check_yaml(text: str, max_nodes: int = MAX_NODES, aliases_only: bool = False) -> None:
    """Refuse YAML that stands for more than it should or loses a value; nothing is built meanwhile.

    Args:
        text: The YAML.
        max_nodes: Keys, values and lists that it may stand for.
        aliases_only: Whether only those count that aliases stand for.

    Raises:
        ValueError: There are more, they are nested too deeply, or one contains itself.
        yaml.YAMLError: The text is not YAML, or a key stands twice in a mapping.
    """
    count = _Count()
    for event in yaml.parse(text, _LOADER):
        count.add(event)
        if (count.aliased if aliases_only else count.nodes) > max_nodes:
            raise ValueError(
                f"it must stand for at most {max_nodes:,} keys and values, aliases (*name) counted"
                " as what they stand for; write it with fewer aliases"
            )
        if count.depth > MAX_DEPTH:
            raise ValueError(f"mappings and lists must be nested at most {MAX_DEPTH} deep")


@dataclass
class _Collection:
    """A list or mapping whose end has not been seen; ``keys`` is ``None`` for a list."""

    anchor: str | None
    before: int
    keys: set[str] | None
    height: int = 1
    is_key: bool = False  # whether the last node in it is a key


class _Count:
    """Nodes and depth of the YAML seen so far, with every alias as what it stands for."""

    def __init__(self) -> None:
        self.nodes = self.aliased = self.depth = 0
        self.known: dict[str, tuple[int, int]] = {}  # nodes and height of what an anchor names
        self.open: list[_Collection] = []

    def add(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.NodeEvent):
            self._refuse_repeated(event)
        if isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor)
        elif isinstance(event, yaml.ScalarEvent):
            if not event.style and len(event.value) > _MAX_PLAIN:
                raise ValueError(f"a value of {len(event.value):,} characters must be in quotes")
            self._reached(1, 1)
            if event.anchor:
                self.known[event.anchor] = 1, 1
        elif isinstance(event, yaml.CollectionStartEvent):
            self._reached(1, 1)
            keys = set[str]() if isinstance(event, yaml.MappingStartEvent) else None
            self.open.append(_Collection(event.anchor, self.nodes - 1, keys))
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = self.open.pop()
            if ended.anchor:
                self.known[ended.anchor] = self.nodes - ended.before, ended.height
            if self.open:
                self._grow(ended.height)

    def _refuse_repeated(self, event: yaml.NodeEvent) -> None:
        """Refuse a key that its mapping has already: YAML would keep the last value alone."""
        within = self.open[-1] if self.open else None
        if within is None or within.keys is None:
            return
        within.is_key = not within.is_key
        if within.is_key and isinstance(event, yaml.ScalarEvent):
            if event.value in within.keys:
                problem = f"the key '{event.value:.60}' stands twice in one mapping"
                mark: Any = event.start_mark  # libyaml has a class of its own
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
            within.keys.add(event.value)

    def _alias(self, anchor: str | None) -> None:
        if any(collection.anchor == anchor for collection in self.open):
            raise ValueError(f"the alias *{anchor} stands within what it stands for")
        nodes, height = self.known.get(
            anchor or "", (1, 1)
        )  # one that nobody defined is told later
        self.aliased += nodes
        self._reached(nodes, height)

    def _reached(self, nodes: int, height: int) -> None:
        self.nodes += nodes
        self.depth = max(self.depth, len(self.open) + height)
        if self.open:
            self._grow(height)

    def _grow(self, height: int) -> None:
        highest = self.open[-1]
        highest.height = max(highest.height, height + 1)


class _TooLargeError(ValueError):
    pass


def _small_text(path: Path) -> str:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _TooLargeError(
            f"{path} must have at most {MAX_BYTES >> 20} MiB to be a file of settings or results,"
            f" it has {size >> 20} MiB; give another file, or remove it"
        )
    return path.read_text(encoding="utf-8")


def is_address(path: object) -> bool:
    """Return whether a path is an address such as ``https://...``, of which it may lack a slash."""
    return _ADDRESS.match(str(path)) is not None


def not_there(path: object, sentence: str) -> FileNotFoundError:
    """Return the error about a path that names nothing, in a sentence.

    Args:
        path: What was given; of an address it is said that files are read from disk.
        sentence: What is said of anything else.
    """
    found = _ADDRESS.match(str(path))
    if found is None:
        return FileNotFoundError(sentence)
    scheme, rest = found.groups()  # a path has lost a slash
    address = f"{scheme}://{rest}"
    if scheme.lower() == "file":
        return FileNotFoundError(f"{address} is an address: give the path alone, without file://")
    how = _DOWNLOADS.get(scheme.lower())
    example = f", for example with {how.format(address)}," if how else ""
    return FileNotFoundError(
        f"{address} is an address, and this is read from disk: download it first{example} and give"
        " the path of what was downloaded"
    )


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a path to write to, and put what was written in its place at the end of the block.

    Where the block fails, what it wrote is removed and what was there before stays.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def stamp(path: Path) -> tuple[int, ...]:
    """Return numbers that change when a file's content is replaced, without reading it.

    Size and date may stay (``cp -p``, ``rsync -t``, ``mv``); then the inode is another, or the time
    of the last change to it, which no program can set.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
