"""The kinds of values that a registration is made of, each with what is wrong with one that does not hold."""

import difflib
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from zoneinfo import available_timezones

from marshmallow import ValidationError, fields

from gateway.adapters.facility_url import BadURL

LONGEST_TEXT = 4096
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_ID = re.compile(r"[a-z0-9-]{1,32}")


class Text(fields.Field[str]):
    """A text that says something."""

    def __init__(self, check: Callable[[str], str | None] = lambda _text: None, **more: Any) -> None:
        super().__init__(**more)
        self._check = check

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("must be a text in quotes")
        if not value.strip():
            raise ValidationError("must not be empty")
        if len(value) > LONGEST_TEXT:
            raise ValidationError(f"must not be longer than {LONGEST_TEXT} characters")
        problem = self._check(value)
        if problem is not None:
            raise ValidationError(problem)
        return value


class Address(fields.Field[str]):
    """A base URL or origin that holds as `read` says."""

    def __init__(self, read: Callable[..., str], **more: Any) -> None:
        super().__init__(**more)
        self._read = read

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValidationError("must be a URL in quotes")
        try:
            return self._read(value, https_only=getattr(self.root, "production", True))
        except BadURL as exc:
            raise ValidationError(str(exc)) from None


class Whole(fields.Field[int]):
    """A whole number in a range."""

    def __init__(self, least: int, most: int, **more: Any) -> None:
        super().__init__(**more)
        self._range = (least, most)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> int:
        least, most = self._range
        if type(value) is not int or not least <= value <= most:
            raise ValidationError(f"must be a whole number from {least} to {most}")
        return value


class Flag(fields.Field[bool]):
    """True or false."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> bool:
        if type(value) is not bool:
            raise ValidationError("must be true or false")
        return value


class Choice(Text):
    """One of a few words."""

    def __init__(self, choices: tuple[str, ...], **more: Any) -> None:
        super().__init__(partial(_one_of, choices), **more)


def _one_of(choices: tuple[str, ...], text: str) -> str | None:
    return None if text in choices else "must be one of " + ", ".join(choices)


def id_problem(text: str) -> str | None:
    """What is wrong with `text` as a facility's id, if anything."""
    return None if _ID.fullmatch(text) else "must be 1 to 32 characters of a-z, 0-9 and -"


def line_problem(text: str) -> str | None:
    """What is wrong with `text` as a word or line, if anything."""
    return None if text.isprintable() else "must not hold control characters"


def wildcard_problem(text: str) -> str | None:
    """What is wrong with `text` as a value that is compared, if anything."""
    if any(mark in text for mark in "*?\\"):
        return "must not hold a wildcard (*, ? or \\)"
    return line_problem(text)


def uri_problem(text: str) -> str | None:
    """What is wrong with `text` as the URI of an identifier system, if anything."""
    if (problem := wildcard_problem(text)) is not None:
        return problem
    if not _URI.fullmatch(text):
        return "must be a URI, such as urn:oid:1.2.36.1.10"
    if text.startswith("urn:oid:") and not _UID.fullmatch(text.removeprefix("urn:oid:")):
        return "must be urn:oid: and an OID (digits and dots)"
    return None


def aet_problem(text: str) -> str | None:
    """What is wrong with `text` as a DICOM AE title (PS3.5 §6.2 AE), if anything."""
    if len(text) > 16:
        return "must not be longer than 16 characters"
    return wildcard_problem(text)


def zone_problem(text: str) -> str | None:
    """What is wrong with `text` as an IANA time zone, if anything."""
    known = available_timezones()
    if text in known:
        return None
    near = difflib.get_close_matches(text, sorted(known), n=1)
    return "is not an IANA time zone" + (f"; did you mean {near[0]}?" if near else "")
