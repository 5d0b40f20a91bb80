"""The api's part of the board's contract from recorded answers: the built page, JSON and an event stream.

A test says what happens (`send`, `fall_silent`, `hang_up`, `database = False`); the page hears of it through
the same wire as in service. `python -m tests.board` serves it for a look by hand.
"""

from __future__ import annotations

import json
import mimetypes
import threading
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from . import alarms, park

# What the api sends with every page; the board needs no exception from it.
POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
BEAT_S: Final = 5.0
CLOSING_S: Final = 0.02  # how often it looks whether to stop


@dataclass(eq=False)
class Listener:
    """One open stream and what it asked for."""

    topics: list[str]
    entity: str | None
    queue: Queue[str | None] = field(default_factory=Queue)

    def wants(self, event: str, body: dict[str, Any]) -> bool:
        """As the api filters: by topic, and by entity where one was named."""
        topic = "warnings" if event == "operation" else f"{event}s"
        return topic in self.topics and self.entity in (None, body["entity"])


class FixtureServer(ThreadingHTTPServer):
    """Serves on a free loopback port until `close`."""

    daemon_threads = True

    def __init__(self, dist: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.dist = dist
        self.signed_in = True
        self.database = True
        self.beating = True
        self.kafka = "up"
        self.operator: str | None = None
        self.desk = alarms.Desk()
        self._streams: list[Listener] = []
        self._lock = threading.Lock()
        self._next_id = 1
        self._thread = threading.Thread(target=self.serve_forever, args=(CLOSING_S,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def send(self, event: str, body: dict[str, Any]) -> int:
        """An event to every open stream that wants it; how many did."""
        with self._lock:
            text = f"id: {self._next_id}\nevent: {event}\ndata: {json.dumps(body)}\n\n"
            self._next_id += 1
            wanting = [stream for stream in self._streams if stream.wants(event, body)]
            for stream in wanting:
                stream.queue.put(text)
        return len(wanting)

    def beat(self) -> str:
        """A heartbeat by the park's clock."""
        told = {"now": int(park.NOW.timestamp() * 1000), "kafka": self.kafka}
        return f"event: heartbeat\ndata: {json.dumps(told)}\n\n"

    def fall_silent(self) -> None:
        """Streams stay open and nothing comes any more."""
        self.beating = False

    def speak(self) -> None:
        """Heartbeats again, the first at once."""
        self.beating = True
        with self._lock:
            for stream in self._streams:
                stream.queue.put(self.beat())

    def hang_up(self) -> None:
        """Ends every stream, as a restart of the api does."""
        with self._lock:
            for stream in self._streams:
                stream.queue.put(None)

    def enter(self, stream: Listener) -> None:
        """A new stream."""
        with self._lock:
            self._streams.append(stream)

    def leave(self, stream: Listener) -> None:
        """A stream has ended."""
        with self._lock:
            self._streams.remove(stream)

    def close(self) -> None:
        """Stops serving."""
        self.hang_up()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: FixtureServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the parent's name)
        """Requests are no news."""

    def do_GET(self) -> None:
        """The page, a call or the stream."""
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if not url.path.startswith("/v1/"):
            return self._file(url.path)
        if not self.server.signed_in:
            return self._json({"title": "sign in"}, 401)
        if url.path == "/v1/stream":
            topics = query.get("topics", "totals,warnings").split(",")
            return self._stream(Listener(topics, query.get("entity")))
        if not self.server.database:
            return self._json({"title": "database away"}, 503)
        if url.path == "/v1/operator":
            return self._json({"operator": self.server.operator})
        answer = self.server.desk.answer(url.path, query) or answer_to(url.path, query)
        return self._json({}, 404) if answer is None else self._json(answer)

    def do_POST(self) -> None:
        """A command, as the api takes it of an operator's session."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.server.operator is None or self.path != "/v1/warnings/commands":
            return self._json({"title": "a session only reads"}, 403)
        return self._json({"id": self.server.desk.take(body, self.server.operator)}, 202)

    def _head(self, status: int, kind: str, length: int | None) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-security-policy", POLICY)
        self.send_header("cache-control", "no-store")
        if length is None:
            self.send_header("connection", "close")
        else:
            self.send_header("content-length", str(length))
        self.end_headers()

    def _json(self, body: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(body, ensure_ascii=False).encode()
        self._head(status, "application/json" if status < 300 else "application/problem+json", len(content))
        self.wfile.write(content)

    def _file(self, path: str) -> None:
        file = (self.server.dist / path.lstrip("/")).resolve()
        if file == self.server.dist.resolve():
            file = file / "index.html"
        if not file.is_relative_to(self.server.dist.resolve()) or not file.is_file():
            self._json({}, 404)
            return
        content = file.read_bytes()
        self._head(200, mimetypes.guess_type(file.name)[0] or "application/octet-stream", len(content))
        self.wfile.write(content)

    def _stream(self, stream: Listener) -> None:
        self._head(200, "text/event-stream", None)
        self.close_connection = True
        self.server.enter(stream)
        try:
            self.wfile.write(b"retry: 200\n\n")
            if self.server.beating:
                self.wfile.write(self.server.beat().encode())
            self.wfile.flush()
            while True:
                try:
                    text = stream.queue.get(timeout=BEAT_S)
                except Empty:
                    text = self.server.beat() if self.server.beating else ": nothing\n\n"
                if text is None:
                    return
                self.wfile.write(text.encode())
                self.wfile.flush()
        except OSError:
            pass  # the page has gone
        finally:
            self.server.leave(stream)


def answer_to(path: str, query: dict[str, str]) -> dict[str, Any] | None:
    """The recorded answer to a call."""
    match path:
        case "/v1/entities":
            return entities(query)
        case "/v1/totals":
            since, until = (datetime.fromisoformat(query[key]) for key in ("from", "to"))
            return park.totals(query["entity"], query["grain"], since, until)
        case "/v1/warnings":
            state = query.get("state")
            return {"warnings": [one for one in alarms.WARNINGS if state in (None, one["state"])]}
        case "/v1/freshness":
            return park.freshness(query["entity"])
        case "/v1/overview":
            return alarms.OVERVIEW
    return None


def entities(query: dict[str, str]) -> dict[str, Any]:
    """By kind, and by a part of the id or of a name."""
    wanted = query.get("q", "").lower()
    found = [
        one
        for one in park.ENTITIES
        if query.get("kind") in (None, one["kind"])
        and any(wanted in one[key].lower() for key in ("id", "name_zh", "name_en"))
    ]
    limit = int(query.get("limit", "50"))
    return {"entities": found[:limit], "next": found[limit]["id"] if len(found) > limit else None}
