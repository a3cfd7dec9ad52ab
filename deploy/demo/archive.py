"""A small archive: serves a folder of DICOM files over QIDO-RS and WADO-RS, on loopback, to who has an account.

`python -m deploy.demo.archive FOLDER --user NAME:PASSWORD [--port 0] [--delay-ms 0]` prints the port it listens on.
It is for demonstrations: all headers are held in memory, and nothing can be stored through it.
"""

import argparse
import hmac
import json
import re
import signal
import sys
import time
import uuid
from base64 import b64decode
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pydicom

from deploy.demo.holdings import BadQuery, Holdings, Item, Level, metadata

ROOT = "/dicom-web"
_UID = r"[0-9.]{1,64}"
_STUDY, _SERIES, _INSTANCE = "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"
_SEARCH = re.compile(
    rf"(?:/studies/(?P<{_STUDY}>{_UID}))?(?:/series/(?P<{_SERIES}>{_UID}))?/(?P<level>studies|series|instances)"
)
_RETRIEVE = re.compile(
    rf"/studies/(?P<{_STUDY}>{_UID})(?:/series/(?P<{_SERIES}>{_UID})(?:/instances/(?P<{_INSTANCE}>{_UID}))?)?"
    r"(?P<what>/metadata|/frames/(?P<frame>[1-9][0-9]{0,3}))?"
)


class Archive(ThreadingHTTPServer):
    """The server, with what it holds and whom it lets in."""

    daemon_threads = True

    def __init__(self, port: int, holdings: Holdings, users: Sequence[str], delay_ms: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.holdings = holdings
        self.users = [user.encode() for user in users]
        self.delay_s = delay_ms / 1000

    def knows(self, authorization: str) -> bool:
        """Whether HTTP Basic credentials are those of an account."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = b64decode(encoded, validate=True)
        except ValueError:
            return False
        return scheme.lower() == "basic" and any(hmac.compare_digest(given, user) for user in self.users)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: Archive
    protocol_version = "HTTP/1.1"
    server_version = "DemoArchive"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Search or retrieve."""
        if not self.server.knows(self.headers.get("Authorization", "")):
            self._answer(401, b"", extra=("WWW-Authenticate", 'Basic realm="archive"'))
            return
        path, _, query = self.path.partition("?")
        path = path.removeprefix(ROOT) if path.startswith(ROOT + "/") else ""
        try:
            if found := _SEARCH.fullmatch(path):
                self._search(found, query)
            elif found := _RETRIEVE.fullmatch(path):
                self._retrieve(found)
            else:
                self._answer(404, b"")
        except BadQuery as exc:
            self._answer(400, str(exc).encode(), "text/plain")

    def _search(self, found: re.Match[str], query: str) -> None:
        time.sleep(self.server.delay_s)
        level: Level = found["level"]  # type: ignore[assignment]
        rows = self.server.holdings.search(level, _uids(found), _pairs(query))
        self._answer(200, json.dumps(rows, ensure_ascii=False).encode(), "application/dicom+json")

    def _retrieve(self, found: re.Match[str]) -> None:
        items = self.server.holdings.of(_uids(found))
        if not items:
            self._answer(404, b"")
        elif found["what"] == "/metadata":
            self._answer(200, json.dumps(metadata(items), ensure_ascii=False).encode(), "application/dicom+json")
        elif found["frame"]:
            self._frame(items, int(found["frame"]))
        else:
            self._multipart("application/dicom", [item.path.read_bytes() for item in items])

    def _frame(self, items: Sequence[Item], number: int) -> None:
        if number != 1 or len(items) != 1:
            self._answer(404, b"")
            return
        self._multipart("application/octet-stream", [pydicom.dcmread(items[0].path).PixelData])

    def _multipart(self, kind: str, parts: Sequence[bytes]) -> None:
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()
        body = b"".join(head + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
        self._answer(200, body, f'multipart/related; type="{kind}"; boundary={boundary}')

    def _answer(self, status: int, body: bytes, kind: str = "", extra: tuple[str, str] | None = None) -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if extra:
            self.send_header(*extra)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: query strings name patients."""


def _uids(found: re.Match[str]) -> dict[str, str]:
    return {name: uid for name, uid in found.groupdict().items() if name in (_STUDY, _SERIES, _INSTANCE) and uid}


def _pairs(query: str) -> list[tuple[str, str]]:
    pairs = []
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        pairs.append((unquote(name), unquote(value)))
    return pairs


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.demo.archive",
        description="Serve a folder of DICOM files over QIDO-RS and WADO-RS on loopback, and print the port.",
        epilog=f"The DICOMweb root is http://127.0.0.1:PORT{ROOT}. For demonstrations: see docs/reference/demo.md.",
    )
    parser.add_argument("folder", type=Path, help="its *.dcm files are read once, at the start")
    parser.add_argument(
        "--user", action="append", required=True, metavar="NAME:PASSWORD", help="an account; repeatable"
    )
    parser.add_argument("--port", type=int, default=0, help="where to listen; any free port where left out")
    parser.add_argument("--delay-ms", type=int, default=0, metavar="MS", help="how long each search takes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Archive(options.port, Holdings(options.folder), options.user, options.delay_ms) as archive:
        print(archive.server_port, flush=True)
        archive.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
