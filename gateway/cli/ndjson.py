"""NDJSON files as operators feed them: read line by line, each line a value or the reason it can't be used."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import click

from gateway.cli.context import print_json
from gateway.errors import LoadRefused
from gateway.strict_json import BrokenJSON, UnreadableJSON, read_strict_json

MAX_LINE_BYTES = 1_000_000
_SHOWN = 20

Outcome = Literal["loaded", "updated", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line that is not blank: its number from 1, and either the object it holds or why it is refused."""

    number: int
    value: dict[str, Any] | None = None
    reason: str | None = None


@dataclass(slots=True, kw_only=True)
class LoadReport:
    """What became of the lines of a file: counts of those that hold, and each one refused."""

    loaded: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: list[tuple[int, str]] = field(default_factory=list)
    """Line number and reason, in line order."""

    def count(self, outcome: Outcome) -> None:
        """One more line with this outcome."""
        setattr(self, outcome, getattr(self, outcome) + 1)

    def reject(self, number: int, reason: str) -> None:
        """Line `number` was not used, and `reason` says why (never what the line holds)."""
        self.rejected.append((number, reason))

    def as_json(self) -> dict[str, Any]:
        """The report as loads answer with `--json`."""
        return {
            "loaded": self.loaded,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "rejected": [{"line": number, "reason": reason} for number, reason in sorted(self.rejected)],
        }


@dataclass(frozen=True, slots=True)
class RawLine:
    """One line that is not blank: its number from 1, and what it holds, or why it can't even be read."""

    number: int
    raw: bytes
    reason: str | None = None


def iter_lines(path: str | Path, label: str = "") -> Iterator[Line]:
    """Every line of `path` (`-`: standard input) that is not blank, read as it is asked for.

    With a `label`, progress shows on a terminal. Raises LoadRefused where the file itself can't be read.
    """
    return map(read_line, iter_raw(path, label))


def iter_raw(path: str | Path, label: str = "") -> Iterator[RawLine]:
    """As `iter_lines`, the lines as they are in the file."""
    try:
        with _opened(path) as file, _progress(file, label) as bar:
            number = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                size = len(raw)
                if size > MAX_LINE_BYTES and not raw.endswith(b"\n"):
                    size += _skip_rest(file)
                    yield RawLine(number, b"", f"longer than {MAX_LINE_BYTES} bytes")
                elif raw.strip():
                    yield RawLine(number, raw)
                if bar is not None:
                    bar.update(size)
    except OSError as exc:
        raise LoadRefused([f"{path} can't be read"]) from exc


def read_line(line: RawLine) -> Line:
    """What the line says, or why it is refused."""
    return Line(number=line.number, reason=line.reason) if line.reason else _read(line.number, line.raw)


def print_report(report: LoadReport, *, as_json: bool, noun: str) -> None:
    """The report is on standard output, and refused lines of the readable form on standard error."""
    if as_json:
        print_json(report.as_json())
        return
    click.echo(f"{noun}: {report.loaded} loaded, {report.updated} updated, {report.unchanged} unchanged")
    for number, reason in sorted(report.rejected)[:_SHOWN]:
        click.echo(f"line {number}: {reason}", err=True)
    if len(report.rejected) > _SHOWN:
        click.echo(f"and {len(report.rejected) - _SHOWN} more lines refused (--json lists all)", err=True)


def _opened(path: str | Path) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(sys.stdin.buffer) if str(path) == "-" else Path(path).open("rb")


def _progress(file: IO[bytes], label: str) -> AbstractContextManager[Any]:
    if not label or file is sys.stdin.buffer or not sys.stderr.isatty():
        return nullcontext()
    return click.progressbar(length=os.fstat(file.fileno()).st_size, label=label, file=sys.stderr)


def _skip_rest(file: IO[bytes]) -> int:
    skipped = 0
    while chunk := file.readline(MAX_LINE_BYTES):
        skipped += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return skipped


def _read(number: int, raw: bytes) -> Line:
    try:
        value = read_strict_json(raw)
    except BrokenJSON:
        return Line(number=number, reason="not JSON")
    except UnreadableJSON as exc:
        return Line(number=number, reason=exc.reason)
    if not isinstance(value, dict):
        return Line(number=number, reason="not a JSON object")
    return Line(number=number, value=value)
