"""`python -m gateway patients load`: very many Patients from a file, read by several processes, written by one."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import date
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import click
import orjson

from gateway.adapters.registry import FacilityRegistry
from gateway.cli.context import Operator
from gateway.cli.ndjson import LoadReport, RawLine, iter_raw, print_report, read_line
from gateway.db.crypto import KeyRing, read_key_file
from gateway.errors import DependencyUnavailable, LoadRefused
from gateway.mpi.feed import PatientFeed
from gateway.mpi.matching_setting import matching_rule
from gateway.mpi.ready import Readier, Ready

LINES_A_TRANSACTION = 500
"""A fraction of a second of writing, after which other writers get their turn."""
_LINES_TO_LINK_LATER = 2000
"""Where nothing is judged, as long a time is enough for more."""
_READ_HERE = 2000
"""Lines of a file that are read in this process: another one takes longer to start than those take to read."""
_AHEAD = 3
"""Batches for each process that are being read while one is written."""
Read = Ready | tuple[int, str]
"""A line's record; or its number and why it is refused."""


class _Setting(NamedTuple):
    """What reading a line depends on."""

    domains: frozenset[str]
    strong_systems: frozenset[str]
    matched: bool
    today: date


class _Reader:
    """Reads lines: the same in this process and in others."""

    def __init__(self, keys: KeyRing, setting: _Setting) -> None:
        # Only loading needs what reads FHIR, and that takes longer to import than the other commands take to run.
        from gateway.mpi.fhir_patient import read_patient

        self._read_patient = read_patient
        self._readier = Readier(keys, setting.strong_systems, matched=setting.matched)
        self._setting = setting

    def read(self, lines: Sequence[RawLine]) -> list[Read]:
        """Each line's record, ready to be stored, or why it is refused."""
        return [self._one(line) for line in lines]

    def _one(self, raw: RawLine) -> Read:
        line = read_line(raw)
        if line.value is None:
            return line.number, line.reason or ""
        try:
            patient = self._read_patient(line.value, self._setting.domains)
        except LoadRefused as exc:
            return line.number, exc.reason
        return self._readier.ready(patient, self._setting.today)


_reader: _Reader


def _begin(keys_file: Path, setting: _Setting) -> None:
    global _reader
    _reader = _Reader(read_key_file(keys_file), setting)


def _read_elsewhere(lines: Sequence[RawLine]) -> list[Read]:
    return _reader.read(lines)


@click.command()
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.option("--report", "report_file", type=click.Path(dir_okay=False), help="Write refused lines here, as NDJSON.")
@click.option("--from-line", type=click.IntRange(min=1), default=1, help="Begin there: where a stopped load goes on.")
@click.option("--link-later", is_flag=True, help="Store and index only; `patients relink` links them all at once.")
@click.option("--processes", type=click.IntRange(1, 64), default=None, help="That read the file; one for each core.")
def load(
    file: str, as_json: bool, report_file: str | None, from_line: int, link_later: bool, processes: int | None
) -> None:
    """Load FHIR R4 Patients from FILE (NDJSON; - reads standard input).

    Each has exactly one identifier in a registered facility's identifier_system. A known one is updated, an unchanged
    one does nothing. Good lines are kept, bad ones listed with their reason; the exit code is 1 if there were any.
    """
    with Operator() as operator:
        domains = frozenset(one.identifier_system for one in FacilityRegistry(operator.engine, operator.keys).all())
        if not domains:
            raise LoadRefused(["no facility is registered yet: run `facilities apply` first"])
        report = LoadReport()
        operator.note("patients load begins")
        strong, rule = operator.settings.strong_identifier_systems, matching_rule(operator.settings)
        setting = _Setting(domains, strong, rule is not None, operator.now.date())
        who = f"operator {operator.name}"
        feed = PatientFeed(
            operator.engine, operator.keys, operator.audit, strong_systems=strong, who=who, matching=rule
        )
        try:
            wanted = (line for line in iter_raw(file, "patients") if line.number >= from_line)
            batches = _batches(wanted, _LINES_TO_LINK_LATER if link_later else LINES_A_TRANSACTION)
            with _reading(operator, setting, processes or len(os.sched_getaffinity(0))) as read:
                _store(read(batches), feed, report, operator, link_later=link_later)
        except BaseException:
            operator.note("patients load stopped", outcome="failed", details=_counts(report))
            raise
        operator.note("patients load ended", details=_counts(report))
    if report_file is not None:
        refused = [orjson.dumps({"line": number, "reason": reason}) + b"\n" for number, reason in report.rejected]
        Path(report_file).write_bytes(b"".join(refused))
    print_report(report, as_json=as_json, noun="patients")
    if report.rejected:
        sys.exit(1)


def _store(
    batches: Iterable[tuple[int, list[Read]]],
    feed: PatientFeed,
    report: LoadReport,
    operator: Operator,
    *,
    link_later: bool,
) -> None:
    last = 0
    try:
        for number, batch in batches:
            ready = [one for one in batch if isinstance(one, Ready)]
            for outcome in feed.save_ready(ready, operator.now, link_later=link_later) if ready else ():
                report.count(outcome)
            for one in batch:
                if not isinstance(one, Ready):
                    report.reject(*one)
            last = number
    except BaseException:
        if last:
            click.echo(f"stored as far as line {last}; go on with --from-line {last + 1}", err=True)
        raise


@contextmanager
def _reading(
    operator: Operator, setting: _Setting, processes: int
) -> Iterator[Callable[[Iterator[list[RawLine]]], Iterator[tuple[int, list[Read]]]]]:
    """What turns batches of lines into (number of the last line, what each line came to), in the file's order."""
    here = _Reader(operator.keys, setting)
    pools: list[ProcessPoolExecutor] = []

    def read(batches: Iterator[list[RawLine]]) -> Iterator[tuple[int, list[Read]]]:
        first: list[list[RawLine]] = []
        while sum(map(len, first)) < _READ_HERE and (batch := next(batches, None)):
            first.append(batch)
        following = next(batches, None) if processes > 1 else None
        yield from ((batch[-1].number, here.read(batch)) for batch in first)
        if following is None:
            yield from ((batch[-1].number, here.read(batch)) for batch in batches)
            return
        begun = (operator.settings.keys_file, setting)
        pools.append(ProcessPoolExecutor(processes, get_context("spawn"), _begin, begun))
        yield from _read_ahead(pools[0], chain((following,), batches), processes * _AHEAD)

    try:
        yield read
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def _read_ahead(
    pool: ProcessPoolExecutor, batches: Iterable[Sequence[RawLine]], most: int
) -> Iterator[tuple[int, list[Read]]]:
    waiting: deque[tuple[int, Future[list[Read]]]] = deque()
    try:
        for batch in batches:
            waiting.append((batch[-1].number, pool.submit(_read_elsewhere, batch)))
            if len(waiting) > most:
                number, read = waiting.popleft()
                yield number, read.result()
        for number, read in waiting:
            yield number, read.result()
    except BrokenProcessPool as exc:
        raise DependencyUnavailable("a process that reads the file has ended") from exc


def _batches(lines: Iterable[RawLine], size: int) -> Iterator[list[RawLine]]:
    rest = iter(lines)
    while batch := list(islice(rest, size)):
        yield batch


def _counts(report: LoadReport) -> list[tuple[str, str]]:
    counts = report.as_json()
    counts["rejected"] = len(report.rejected)
    return [(name, str(count)) for name, count in counts.items()]
