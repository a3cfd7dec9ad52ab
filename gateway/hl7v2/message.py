"""What does an HL7 v2 message say? Header, event, and its segments, read one way whatever separators it uses. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import hl7

from gateway.hl7v2.refusal import MessageRefused

MOST_BYTES = 1_000_000
_NULL = '""'
"""HL7 v2's way to say that a value was deleted: there is none now."""
_CHARACTER_SETS = {
    "": "utf-8",
    "ASCII": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",
    "8859/1": "iso8859-1",
    "8859/2": "iso8859-2",
    "8859/5": "iso8859-5",
    "8859/7": "iso8859-7",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
}
"""HL7 table 0211, as far as Python reads them; without a word it is UTF-8, which ASCII is too."""

Component = str
Repetition = tuple[Component, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The parts of MSH that matter here, as written; empty where they are missing."""

    application: str = ""
    facility: Repetition = ()
    """MSH-4: namespace, universal id, its type."""
    time: str = ""
    type: str = ""
    event: str = ""
    control_id: str = ""
    processing: str = ""
    version: str = ""


class Segment:
    """One segment: its fields by their HL7 numbers."""

    def __init__(self, fields: Sequence[str], separators: "_Separators") -> None:
        self._fields = fields
        self._separators = separators

    def repetitions(self, number: int) -> list[Repetition]:
        """Each repetition of the field as its components; those without any value are left out."""
        text = self._fields[number] if number < len(self._fields) else ""
        found = []
        for repetition in text.split(self._separators.repetition):
            parts = tuple(self._plain(part) for part in repetition.split(self._separators.component))
            if any(parts):
                found.append(parts)
        return found

    def first(self, number: int) -> str:
        """The first component of the field's first repetition; empty where there is none."""
        for parts in self.repetitions(number):
            return self._unescaped(parts[0])
        return ""

    def subcomponents(self, component: str) -> list[str]:
        """The parts of a component, readable."""
        return [self._unescaped(part) for part in component.split(self._separators.subcomponent)]

    def _plain(self, text: str) -> str:
        return "" if text == _NULL else text

    def _unescaped(self, text: str) -> str:
        return str(self._separators.message.unescape(text)).strip()


@dataclass(frozen=True, slots=True)
class _Separators:
    repetition: str
    component: str
    subcomponent: str
    message: hl7.Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message: its header, and its segments in order."""

    header: Header
    segments: tuple[tuple[str, Segment], ...]

    def named(self, *names: str) -> Iterator[tuple[str, Segment]]:
        """The segments of those names, in order."""
        return ((name, segment) for name, segment in self.segments if name in names)


def component(parts: Repetition, number: int) -> str:
    """The component of that HL7 number, empty where it is missing."""
    return parts[number - 1] if len(parts) >= number else ""


def read_message(block: bytes) -> Message:
    """The message in `block`. Raises MessageRefused (AR) where it can't be read as HL7 v2."""
    if not block.startswith(b"MSH") or len(block) < 9:
        raise MessageRefused("AR", "100", "the message does not begin with MSH")
    text = _decoded(block)
    try:
        parsed = hl7.parse(text.replace("\r\n", "\r").replace("\n", "\r"))
        found = [
            (str(segment[0]), Segment([str(field) for field in segment], _separators(parsed))) for segment in parsed
        ]
    except (hl7.HL7Exception, ValueError, IndexError, KeyError) as exc:
        raise MessageRefused("AR", "100", "the message can't be read as HL7 v2") from exc
    return Message(header=_header(found[0][1]), segments=tuple(found))


def _separators(message: hl7.Message) -> _Separators:
    stated = str(message[0][2])
    return _Separators(
        repetition=stated[1:2] or "~", component=stated[0:1] or "^", subcomponent=stated[3:4] or "&", message=message
    )


def _decoded(block: bytes) -> str:
    separator = block[3:4]
    fields = block.partition(b"\r")[0].split(separator)
    stated = fields[17].split(b"~")[0].decode("ascii", "replace").strip() if len(fields) > 17 else ""
    encoding = _CHARACTER_SETS.get(stated)
    if encoding is None:
        raise MessageRefused("AR", "103", "MSH-18: a character set that is not read here")
    try:
        return block.decode(encoding)
    except UnicodeDecodeError as exc:
        raise MessageRefused("AR", "102", "the message is not in the character set of MSH-18") from exc


def _header(segment: Segment) -> Header:
    kind = next(iter(segment.repetitions(9)), ())
    facility = next(iter(segment.repetitions(4)), ())
    return Header(
        application=segment.first(3),
        facility=facility,
        time=segment.first(7),
        type=component(kind, 1),
        event=component(kind, 2),
        control_id=segment.first(10),
        processing=segment.first(11),
        version=segment.first(12),
    )
