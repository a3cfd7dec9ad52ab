"""The operator's command line, kept open: each line of standard input is one `gateway` command, as a JSON list.

The commands are the real ones. In one process they are read and compiled once, where each alone would spend a second on
that. Each answer is one line: `{"status", "out", "err"}`.
"""

import contextlib
import io
import json
import sys

from gateway.cli.main import main as gateway


def run(arguments: list[str]) -> dict[str, object]:
    """What `python -m gateway ARGUMENTS` would say, and its exit status."""
    sys.argv = ["gateway", *arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    status: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            gateway()
        except SystemExit as exc:
            status = exc.code or 0
    return {"status": status, "out": _text(out), "err": _text(err)}


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def main() -> None:
    """Run commands until standard input ends."""
    answers = sys.stdout
    for line in sys.stdin:
        answers.write(json.dumps(run(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
