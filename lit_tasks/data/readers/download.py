"""Files from the network: encrypted, limited in size, in their place only when all is there."""

import hashlib
import secrets
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any

SCHEMES = ("https",)
STALL = 30.0
"""Seconds without a byte after which a download is given up."""
_CHUNK = 1 << 20


def download(url: str, path: Path, max_bytes: int, sha256: str | None = None) -> None:
    """Download a file; ``path`` appears when all of it is there and is what it should be.

    Args:
        url: Its address; a redirection may lead to encrypted addresses only, too.
        path: Where it is to be.
        max_bytes: How large it may be.
        sha256: Its checksum in hexadecimal digits; not checked when left out.

    Raises:
        ConnectionError: It cannot be reached, stalls or breaks off.
        ValueError: It is larger, or has another checksum.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as file:
            _fetch(url, file, max_bytes)
        if sha256 is not None:
            check_sha256(beside, sha256, url)
        beside.replace(path)
    except (OSError, HTTPException) as error:  # what urllib raises, time-outs too
        raise ConnectionError(f"{url} could not be downloaded ({error})") from error
    finally:
        beside.unlink(missing_ok=True)


def check_sha256(path: Path, sha256: str, name: str) -> None:
    """Refuse a file with another checksum.

    Raises:
        ValueError: It has another; names both.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256.lower():
        raise ValueError(
            f"{name} must have the SHA-256 checksum {sha256}, it has {found}: it is another file or"
            " was changed on its way; get it from a source that you trust"
        )


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows redirections to encrypted addresses."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    scheme = url.partition(":")[0].lower()
    if scheme not in SCHEMES:
        raise urllib.error.URLError(f"the address must begin with {SCHEMES[0]}, got {url!r:.200}")


def _fetch(url: str, file: IO[bytes], max_bytes: int) -> None:
    _check_scheme(url)
    request = urllib.request.Request(url, headers={"User-Agent": "lit-tasks"})
    opener = urllib.request.build_opener(_SameScheme)
    with opener.open(request, timeout=STALL) as answer:
        announced = _announced(answer)
        size = 0
        while size <= max_bytes and (chunk := answer.read(_CHUNK)):
            size += len(chunk)
            file.write(chunk)
    if size > max_bytes or (announced or 0) > max_bytes:
        raise ValueError(
            f"{url} must have at most {max_bytes:,} bytes, it has {max(size, announced or 0):,} or"
            " more: it is not the file it should be"
        )
    if announced is not None and size != announced:
        raise ConnectionError(f"it broke off after {size:,} of {announced:,} bytes")


def _announced(answer: Any) -> int | None:
    length = answer.headers.get("Content-Length") or ""
    return int(length) if length.isdecimal() else None
