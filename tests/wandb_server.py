"""A stand-in for W&B's server on loopback: it answers what wandb asks and keeps what arrives.

It can be told to answer late, or with an error, or to be gone, at any moment.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PROJECT = {"id": "UHJvamVjdA==", "name": "lit_tasks", "entity": {"id": "RQ==", "name": "someone"}}
_VIEWER = {"id": "VQ==", "entity": "someone", "username": "someone", "email": "a@example.org"}


@dataclass
class ArrivedRun:
    """What the server knows of one run.

    Attributes:
        config: Its configuration, without the form in which it travels.
        summary: Newest summary.
        history: Logged rows, each at the offset that it was sent for.
        files: Content of the files that were uploaded, by name.
        exit_code: What the client said at its end; ``None`` while it runs.
        group: Runs that belong together.
        sweep: Sweep that it was said to belong to.
    """

    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None
    group: str | None = None
    sweep: str | None = None

    def rows(self, name: str) -> list[Any]:
        """Return what was logged under a name, by step.

        ``wandb sync`` sends rows again that had arrived, after the others, with their old steps.
        """
        by_step = {row["_step"]: row for _, row in sorted(self.history.items())}
        return [row[name] for _, row in sorted(by_step.items()) if name in row]


class WandbServer(ThreadingHTTPServer):
    """The stand-in.

    Attributes:
        runs: What arrived, by id.
        asked: Names of the questions, in their order.
        status: The answer to everything, where it is not a good one.
        delay: Seconds that every answer takes.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, ArrivedRun] = {}
        self.asked: list[str] = []
        self.status: int | None = None
        self.delay = 0.0
        self.lock, self.gone = threading.Lock(), threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def run(self) -> ArrivedRun:
        """The only run that arrived."""
        (run,) = self.runs.values()
        return run

    def die(self) -> None:
        """Be gone: connections are refused from now on, and open ones get no answer."""
        if not self.gone.is_set():
            self.gone.set()
            self.shutdown()
            self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that left."""

    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return the data for one question of GraphQL."""
        self.asked.append(name := re.findall(r"(?:query|mutation)\s+(\w+)", query)[0])
        run = self.runs.get(str(given.get("name") or given.get("run")))
        if name == "Viewer":
            return {"viewer": {**_VIEWER, "flags": "{}", "teams": {"edges": []}}}
        if name == "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        if name == "RunResumeStatus":
            return {"model": {**_PROJECT, "bucket": run and _resume_status(given["name"], run)}}
        if name == "UpsertBucket":
            return {"upsertBucket": self._upserted(given)}
        if name == "CreateRunFiles":
            places = [
                (file, f"{self.url}/storage/{given['run']}/{file}") for file in given["files"]
            ]
            files = [{"name": file, "uploadUrl": url} for file, url in places]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        return {}

    def _upserted(self, given: dict[str, Any]) -> dict[str, Any]:
        inserted = given["name"] not in self.runs
        run = self.runs.setdefault(given["name"], ArrivedRun())
        for key, value in json.loads(given.get("config") or "{}").items():
            run.config[key] = value.get("value") if isinstance(value, dict) else value
        run.group, run.sweep = given.get("groupName") or run.group, given.get("sweep") or run.sweep
        if inserted:
            run.exit_code = None
        bucket = {"id": given["name"], "name": given["name"], "displayName": given["displayName"]}
        more = {"config": "{}", "sweepName": run.sweep, "historyLineCount": len(run.history)}
        return {"bucket": {**bucket, **more, "project": _PROJECT}, "inserted": inserted}

    def streamed(self, run: ArrivedRun, content: dict[str, Any]) -> None:
        """Keep what a file stream brings."""
        for name, part in (content.get("files") or {}).items():
            for offset, line in enumerate(part["content"], start=part["offset"]):
                if name == "wandb-history.jsonl":
                    run.history[offset] = json.loads(line)
                elif name == "wandb-summary.json":
                    run.summary = json.loads(line)
        if content.get("complete"):
            run.exit_code = content["exitcode"]


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _reply(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refused(self) -> bool:
        self.server.gone.wait(self.server.delay)
        if self.server.gone.is_set():
            self.close_connection = True
            return True
        if self.server.status is not None:
            self._reply(
                {"errors": [{"message": "refused"}], "error": "refused"}, self.server.status
            )
        return self.server.status is not None

    def do_POST(self) -> None:
        body = self._body()
        if self._refused():
            return
        with self.server.lock:
            if self.path.endswith("/graphql"):
                asked = json.loads(body)
                data = self.server.answer(asked["query"], asked.get("variables") or {})
                self._reply({"data": data})
            elif found := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
                self.server.streamed(self.server.runs[found[1]], json.loads(body))
                self._reply({})
            else:
                self._reply({})

    def do_PUT(self) -> None:
        body = self._body()
        if self._refused():
            return
        _, _, run, name = self.path.partition("?")[0].split("/", 3)
        with self.server.lock:
            self.server.runs[run].files[name] = body
        self._reply({})

    def do_GET(self) -> None:
        if not self._refused():
            self._reply({})


def _resume_status(name: str, run: ArrivedRun) -> dict[str, Any]:
    tail = [json.dumps(row) for _, row in sorted(run.history.items())[-1:]]
    config = {key: {"value": value} for key, value in run.config.items()}
    return {
        "id": name,
        "name": name,
        "displayName": name,
        "tags": [],
        "notes": "",
        "summaryMetrics": json.dumps(run.summary),
        "config": json.dumps(config),
        "historyLineCount": len(run.history),
        "historyTail": json.dumps(tail),
        "logLineCount": 0,
        "eventsLineCount": 0,
        "eventsTail": "[]",
        "wandbConfig": json.dumps({"t": 1}),
    }


@contextmanager
def serving() -> Iterator[WandbServer]:
    """Serve while the block runs."""
    server = WandbServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.die()
        thread.join(10)


def until(condition: Any, seconds: float = 60) -> None:
    """Wait for something to become true.

    Raises:
        AssertionError: It did not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
