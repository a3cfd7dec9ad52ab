"""What the demo shows: plain text, with a little colour where a person is looking."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.demo.ehr import Answer, Fetched, holders_of, uid_of

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Screen:
    """Where it is written."""

    coloured: bool

    @classmethod
    def of_this_process(cls) -> "Screen":
        """Colour on a terminal, unless NO_COLOR says otherwise (no-color.org)."""
        return cls(sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")

    def paint(self, code: str, text: str) -> str:
        """`text` in an ANSI style."""
        return f"\033[{code}m{text}\033[0m" if self.coloured else text

    def bold(self, text: str) -> str:
        """`text`, strong."""
        return self.paint("1", text)

    def dim(self, text: str) -> str:
        """`text`, quiet."""
        return self.paint("2", text)

    def green(self, text: str) -> str:
        """`text` that says that all is well."""
        return self.paint("32", text)

    def yellow(self, text: str) -> str:
        """`text` that says take note."""
        return self.paint("33", text)

    def cyan(self, text: str) -> str:
        """`text` that can be used: an address, a command."""
        return self.paint("36", text)

    def say(self, text: str = "") -> None:
        """One line."""
        print(text, flush=True)

    def done(self, text: str, detail: str = "") -> None:
        """One step of the set-up is done."""
        self.say(f"  {self.green('✓')} {text:<28}{self.dim(detail)}")

    def title(self, text: str) -> None:
        """What follows is about `text`."""
        self.say()
        self.say(f"{self.bold(text)} {self.dim('─' * max(0, _WIDTH - len(text) - 1))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What became of one facility, as its operator may know it."""

    name: str
    mrn: str
    outcome: str
    """What was found, or that it was not asked."""
    milliseconds: int | None = None
    why: str = ""
    """Why it was not asked."""


def show_answer(screen: Screen, answer: Answer, names: Mapping[str, str]) -> None:
    """The studies of the answer: what, when, and where the images are."""
    screen.say()
    header = f"{'DATE':<18}{'MODALITY':<10}{'DESCRIPTION':<26}{'SERIES':>6}{'IMAGES':>8}  WHERE THE IMAGES ARE"
    screen.say(f"  {screen.dim(header)}")
    for study in answer.studies:
        holders = sorted(holders_of(study))
        where = " + ".join(names[holder] for holder in holders)
        modality = ", ".join(coding["code"] for coding in study["modality"])
        counts = f"{study.get('numberOfSeries', '?'):>6}{study.get('numberOfInstances', '?'):>8}"
        date = _date(study.get("started", ""))
        screen.say(f"  {date:<18}{modality:<10}{screen.bold(f'{_title(study):<26}')}{counts}  {where}")
        for holder in holders:
            address = answer.endpoints[f"Endpoint/{holder}"]["address"]
            screen.say(f"  {'':<18}{screen.cyan(f'{address}/studies/{uid_of(study)}')}")
        if len(holders) > 1:
            _show_series(screen, study, names)


def _show_series(screen: Screen, study: Mapping[str, Any], names: Mapping[str, str]) -> None:
    for series in study.get("series", []):
        held = " + ".join(names[holder] for holder in sorted(holders_of(series) or holders_of(study)))
        text = f"series {series.get('number', '?')}  {series.get('description', ''):<24}"
        screen.say(f"  {'':<18}{screen.dim(text)}{series.get('numberOfInstances', ''):>4}  {screen.dim(held)}")


def _title(study: Mapping[str, Any]) -> str:
    title = str(study.get("description", ""))
    return title if len(title) < 26 else title[:24] + "…"


def _date(started: str) -> str:
    return started[:16].replace("T", " ")


def show_asked(screen: Screen, asked: Iterable[Asked]) -> None:
    """Which facilities know the patient, and what was asked of each."""
    screen.say()
    for one in asked:
        took = "" if one.milliseconds is None else f"{one.milliseconds} ms"
        outcome = screen.yellow(one.outcome) if one.why else one.outcome
        screen.say(f"  {one.name:<24}knows her as {one.mrn:<12}{took:>8}   {outcome}")
        if one.why:
            screen.say(f"  {'':<24}{screen.dim(one.why)}")


def show_fetched(screen: Screen, fetched: Sequence[Fetched]) -> None:
    """The images that were fetched from where they lie."""
    screen.say()
    for one in fetched:
        screen.done(one.facility, f"{one.images} DICOM images, {one.size // 1024} kB, sent by the facility itself")
