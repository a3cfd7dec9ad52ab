#!/usr/bin/env python3
"""Keep another exchange's audit checkpoints: what a facility runs that a gateway's GATEWAY_AUDIT_CHECKPOINT_URLS names.

    keep_checkpoints.py FOLDER PUBKEY [HOST:PORT]

It listens on 127.0.0.1:8099 unless told otherwise, behind a proxy that ends TLS, and needs `verify_audit.py` beside it
and nothing else. Each checkpoint that is POSTed and signed by one of the keys becomes a file in FOLDER; none is ever
overwritten. It answers 204 once the file is on disk, 403 where the signature is not one of theirs, and 409 where
another root of the same size was signed: then both are kept, somebody was shown another log, and it says so. FOLDER is
what `verify_audit.py` takes as CHECKPOINTS.
"""

import base64
import os
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # isolated mode leaves the script's own folder out

from verify_audit import NOTE, Bad, read_keys, require_signature

MOST_BYTES = 16_384
WITHIN_S = 10


class Refused(Exception):
    """A request that is not taken: the status, and why."""


class Keeper(BaseHTTPRequestHandler):
    """One POST, one checkpoint."""

    timeout = WITHIN_S
    folder: Path
    keys: dict

    def do_POST(self) -> None:
        """Keep the checkpoint, or say why not."""
        try:
            self._keep(self._body())
            status, said = 204, ""
        except Refused as exc:
            status, said = exc.args
        self.send_response(status)
        if said:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def _body(self) -> str:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            raise Refused(413 if length.isdecimal() else 411, "no checkpoint is that long\n")
        return self.rfile.read(int(length)).decode("utf-8", "replace")

    def _keep(self, text: str) -> None:
        note = NOTE.fullmatch(text)
        if note is None:
            raise Refused(400, "not a signed checkpoint\n")
        try:
            require_signature(note, self.keys, "this")
        except (Bad, ValueError):
            raise Refused(403, "not signed by a key that is known here\n") from None
        root = base64.b64decode(note.group(3))
        self._write(f"{int(note.group(2)):012d}-{root.hex()[:16]}.txt", text)
        kept = {file.name for file in self.folder.glob(f"{int(note.group(2)):012d}-*.txt")}
        if len(kept) > 1:
            sys.stderr.write(f"TWO LOGS: {note.group(1)} has signed two roots for {note.group(2)} records\n")
            raise Refused(409, "another root of this size was signed\n")

    def _write(self, name: str, text: str) -> None:
        draft = self.folder / f".{name}.{os.getpid()}.{id(self)}"
        with draft.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, self.folder / name)
        draft.unlink()

    def log_message(self, form: str, *arguments: object) -> None:
        """One line a request, without what it said."""
        sys.stderr.write(f"{self.log_date_time_string()} {self.client_address[0]} {arguments[1:2]}\n")


def main(arguments: list) -> int:
    """Serve until interrupted; 2 without its arguments."""
    if len(arguments) not in (2, 3):
        sys.stderr.write(str(__doc__))
        return 2
    Keeper.folder, Keeper.keys = Path(arguments[0]), read_keys(arguments[1])
    host, _, port = (arguments[2] if len(arguments) == 3 else "127.0.0.1:8099").rpartition(":")
    with suppress(KeyboardInterrupt), ThreadingHTTPServer((host, int(port)), Keeper) as server:
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
