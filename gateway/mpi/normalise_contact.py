"""Addresses, telephone numbers and e-mail addresses as matching compares them. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.mpi.normalise_name import words


def _each(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOST = 20
_NO_DIGITS = re.compile(r"[^0-9]+")
_PHONE_DIGITS = 9
_LEAST_PHONE_DIGITS = 7
_JUNK_PHONES = frozenset(("123456789", "234567890", "1234567", "12345678", "987654321", "876543210"))
_JUNK_LOCAL_PARTS = _each(
    "noemail none no na nomail noreply donotreply unknown unk test refused declined noone nobody null email mail "
    "patient info notgiven notprovided"
)
_ADDRESS_PREFERENCE = {"temp": 1, "work": 1, "billing": 1, "old": 2}
_EMAIL = re.compile(r"([^@\s]{1,64})@([^@\s]{1,190}\.[^@\s.]{2,})")
_UNIT = _each("apt apartment unit flat suite ste room rm floor fl lot bldg building no nr wohnung whg")
_STREET_WORDS = {
    "street": "st", "str": "st", "strasse": "st", "straße": "st", "avenue": "av", "ave": "av", "road": "rd",
    "drive": "dr", "lane": "ln", "court": "ct", "crt": "ct", "place": "pl", "boulevard": "blvd", "bvd": "blvd",
    "highway": "hwy", "terrace": "tce", "ter": "tce", "circle": "cir", "cct": "cir", "circuit": "cir",
    "crescent": "cres", "cr": "cres", "cresc": "cres", "square": "sq", "parkway": "pkwy", "close": "cl",
    "trail": "trl", "saint": "st", "north": "n", "south": "s", "east": "e", "west": "w",
}  # fmt: skip
_NO_ADDRESS = _each(
    "unknown homeless none nofixedabode nofixedaddress generaldelivery undomiciled transient notknown test na"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """One address."""

    number: str = ""
    street: str = ""
    unit: str = ""
    postcode: str = ""
    city: str = ""

    @property
    def door(self) -> str:
        """House number and street, where both are known."""
        return f"{self.number} {self.street}" if self.number and self.street else ""


def read_phones(telecom: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The telephone numbers that can be somebody's, by their last nine digits: country and trunk prefixes vary."""
    stated = _values(telecom, ("phone", "sms"))
    digits = (_NO_DIGITS.sub("", one.partition("x")[0]) for one in stated)
    return tuple(dict.fromkeys(one[-_PHONE_DIGITS:] for one in digits if _is_phone(one)))


def _is_phone(digits: str) -> bool:
    tail = digits[-_LEAST_PHONE_DIGITS:]
    return len(tail) == _LEAST_PHONE_DIGITS and len(set(tail)) > 1 and digits[-_PHONE_DIGITS:] not in _JUNK_PHONES


def read_emails(telecom: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The e-mail addresses that can be somebody's, in lower case and without a `+tag`."""
    found = (_EMAIL.fullmatch(one.lower()) for one in _values(telecom, ("email",)))
    split = ((match[1].partition("+")[0], match[2]) for match in found if match)
    return tuple(dict.fromkeys(f"{local}@{domain}" for local, domain in split if local not in _JUNK_LOCAL_PARTS))


def _values(telecom: Sequence[Mapping[str, Any]], systems: Iterable[Any]) -> list[str]:
    return [
        str(one["value"])[:200].strip()
        for one in telecom[:_MOST]
        if one.get("value") and one.get("system") in systems and one.get("use") != "old"
    ]


def read_homes(addresses: Sequence[Mapping[str, Any]]) -> tuple[Home, ...]:
    """The addresses that say where somebody lives, the current home first, each once."""
    ordered = sorted(
        addresses[:_MOST], key=lambda one: (one.get("use") == "old", one.get("use") in ("work", "billing"))
    )
    homes = (_home(one) for one in ordered)
    return tuple(dict.fromkeys(home for home in homes if home != Home()))


def _home(address: Mapping[str, Any]) -> Home:
    lines = [one for one in address.get("line") or () if one]
    if not lines and not address.get("postalCode") and address.get("text"):
        lines = str(address["text"])[:200].split(",")[:1]
    number, street, unit, after = "", "", "", list[str]()
    for line in lines:
        if street:
            after.extend(words(line))
        else:
            number, street, unit = _street(words(line))
    city = "".join(words(address.get("city") or ""))
    return Home(
        number=number,
        street=street,
        unit=unit or " ".join(word for word in after if word not in _UNIT),
        postcode="" if _is_placeholder(code := "".join(words(address.get("postalCode") or ""))) else code,
        city="" if city in _NO_ADDRESS else city,
    )


@lru_cache(maxsize=16384)
def _street(parts: tuple[str, ...]) -> tuple[str, str, str]:
    """House number, street and unit of one line."""
    if not parts or "".join(parts) in _NO_ADDRESS:
        return "", "", ""
    if parts[:2] == ("po", "box") or parts[:1] == ("pobox",):
        return (parts[-1] if parts[-1][:1].isdigit() else ""), "pobox", ""
    number, unit, kept, marked = "", "", list[str](), False
    for part in parts:
        if marked or part in _UNIT:
            unit, marked = (part if marked else unit), part in _UNIT
        elif part[0].isdigit() and not number:
            number = part
        elif not part.isdigit():
            kept.append(_STREET_WORDS.get(part, part))
    return number, " ".join(kept), unit


def _is_placeholder(code: str) -> bool:
    return len(code) < 3 or len(set(code)) == 1 or code in _NO_ADDRESS
