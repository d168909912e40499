"""Downloads from a server of our own: whole or not at all, limited, encrypted, checked."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from PIL import Image

from lit_tasks.data import hymenoptera
from lit_tasks.data.readers import download as module
from lit_tasks.data.readers.download import download

CONTENT = b"all of it" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    wait: ClassVar[threading.Event]
    files: ClassVar[dict[str, bytes]] = {"/good": CONTENT}

    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "ftp://example.com/file")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        found = self.files.get(self.path)
        self.send_response(200 if found or self.path != "/none" else 404)
        if self.path != "/endless":
            size = 10 * len(CONTENT) if self.path in ("/cut", "/stalls") else len(found or b"")
            self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(found or CONTENT)
        if self.path == "/stalls":
            self.wfile.flush()
            self.wait.wait(20)
        for _ in range(100 if self.path == "/endless" else 0):
            self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(module, "SCHEMES", ("http",))
    monkeypatch.setattr(module, "STALL", 0.3)
    monkeypatch.setenv("no_proxy", "*")
    Handler.wait = threading.Event()
    served = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    Handler.wait.set()
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.mark.parametrize("sha256", [None, DIGEST, DIGEST.upper()])
def test_a_whole_file_arrives(server: str, tmp_path: Path, sha256: str | None) -> None:
    download(f"{server}/good", tmp_path / "folder" / "file", len(CONTENT), sha256)
    assert (tmp_path / "folder" / "file").read_bytes() == CONTENT
    assert len(list((tmp_path / "folder").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("cut", ConnectionError, "could not be downloaded .*broke off after 9,000 of 90,000 bytes"),
        ("stalls", ConnectionError, "could not be downloaded .*timed out"),
        ("none", ConnectionError, "could not be downloaded .*404"),
        ("away", ConnectionError, "the address must begin with http, got 'ftp://example"),
        ("endless", ValueError, "must have at most 100,000 bytes"),
    ],
)
def test_what_does_not_arrive_whole_leaves_nothing(
    server: str, tmp_path: Path, name: str, error: type[Exception], reason: str
) -> None:
    (tmp_path / "file").write_text("what was there")
    with pytest.raises(error, match=f"{server}/{name} {reason}|{reason}"):
        download(f"{server}/{name}", tmp_path / "file", 100_000)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "what was there")]


def test_another_file_is_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"must have the SHA-256 checksum 00, it has {DIGEST}"):
        download(f"{server}/good", tmp_path / "file", 100_000, "00")
    with pytest.raises(ValueError, match="must have at most 8,999 bytes, it has 9,000 or more"):
        download(f"{server}/good", tmp_path / "file", 8_999)
    assert list(tmp_path.iterdir()) == []


def test_an_address_must_be_encrypted(tmp_path: Path) -> None:
    for url in ("http://example.com/a", "file:///etc/passwd", "FTP://example.com"):
        with pytest.raises(ConnectionError, match="must begin with https"):
            download(url, tmp_path / "file", 100)
    assert hymenoptera.URL.startswith("https://")


def archive() -> bytes:
    image, whole = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 8)).save(image, "png")
    with zipfile.ZipFile(whole, "w") as opened:
        for part in ("train", "val"):
            for label in ("ants", "bees"):
                name = f"hymenoptera_data/{part}/{label}/0.png"
                opened.writestr(name, image.getvalue())
    return whole.getvalue()


def test_ants_and_bees_are_downloaded_once_and_checked(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = archive()
    monkeypatch.setitem(Handler.files, "/a/hymenoptera_data.zip", content)
    monkeypatch.setattr(hymenoptera, "URL", f"{server}/a/hymenoptera_data.zip")
    digest = hashlib.sha256(content).hexdigest()
    bad = hymenoptera.HymenopteraDataModule(download=tmp_path, counts=None, sha256="0" * 64)
    with pytest.raises(ValueError, match="must have the SHA-256 checksum 0000"):
        bad.prepare_data()
    assert list(tmp_path.iterdir()) == []
    good = hymenoptera.HymenopteraDataModule(download=tmp_path, counts=None, sha256=digest)
    good.prepare_data()
    assert len(good.images("train").paths) == 2
    monkeypatch.setattr(hymenoptera, "URL", "https://127.0.0.1:1/hymenoptera_data.zip")
    good.prepare_data()  # it is there
    other = hymenoptera.HymenopteraDataModule(download=tmp_path / "other")
    with pytest.raises(ConnectionError, match=r"could not be downloaded .*; set data\.root to a"):
        other.prepare_data()
