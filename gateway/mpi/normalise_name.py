"""Names as matching compares them: folded, split, freed of titles and placeholders. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from anyascii import anyascii


def _each(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOST_NAMES = 20
_MOST_LETTERS = 120
_BETWEEN_WORDS = re.compile(r"[^a-z0-9]+")
_SILENT = re.compile(r"['’ʼ`´.]")
_TITLES = _each("dr mr mrs ms miss mx prof professor rev sir dame lady lord hon md phd rn esq")
_SUFFIXES = {"sr": "1", "senior": "1", "jr": "2", "junior": "2", "jnr": "2", "ii": "2", "2nd": "2"}
_SUFFIXES |= {"iii": "3", "3rd": "3", "iv": "4", "4th": "4"}
_PARTICLES = _each(
    "van von der den de del della di da do dos du la le los las el al bin ibn ben st san santa ter te ten zu zum "
    "zur af av abu"
)
_NOT_NAMES = _each(
    "unknown unk unbekannt unnamed noname anonymous anon none null nil na nn xx xxx xxxx test tester testing "
    "testpatient patient dummy zztest zzztest deleted duplicate temp temporary notknown notgiven refused nfn nln "
    "nmn lnu fnu"
)
_CHILD = _each("baby babyboy babygirl boy girl bb bg infant newborn neonate twin triplet male female child")
_CHILD_ONLY = _each("baby babyboy babygirl infant newborn neonate bb bg")
_ORDERS = {"a": 1, "b": 2, "c": 3, "d": 4, "1": 1, "2": 2, "3": 3, "4": 4, "one": 1, "two": 2, "three": 3}
_NEVER = frozenset(("temp", "anonymous"))
_PREFERENCE = {"official": 0, "usual": 1, None: 2, "nickname": 4, "old": 5, "maiden": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class NameParts:
    """The names of a record; see MatchRecord for each."""

    given: str = ""
    givens: tuple[str, ...] = ()
    middle: str = ""
    family: str = ""
    families: tuple[str, ...] = ()
    given_native: str = ""
    family_native: str = ""
    suffix: str = ""
    newborn: bool = False
    mother_given: str = ""
    birth_order: int = 0


@lru_cache(maxsize=16384)
def words(text: str) -> tuple[str, ...]:
    """The words of `text` in lower-case Latin letters and digits, whatever its script."""
    folded = anyascii(unicodedata.normalize("NFKC", text[:_MOST_LETTERS])).lower()
    return tuple(word for word in _BETWEEN_WORDS.split(_SILENT.sub("", folded)) if word)


def native(text: str) -> str:
    """`text` as it is written, for comparing, where its script isn't Latin; otherwise empty."""
    if text.isascii():
        return ""
    letters = [letter for letter in unicodedata.normalize("NFKC", text[:_MOST_LETTERS]).casefold() if letter.isalpha()]
    if all(ord(letter) < 0x250 or unicodedata.name(letter, "").startswith("LATIN") for letter in letters):
        return ""
    return "".join(letters)


def read_names(names: Sequence[Mapping[str, Any]]) -> NameParts:
    """What the HumanNames of a Patient come to: the official or usual name first, the others as further forms.

    Names for the time being and of nobody (`use` temp, anonymous; FHIR R4 name-use) are set aside. A name that only
    has `text` is split (HL7 Identity Matching: it must be understood).
    """
    usable = [name for name in names[:_MOST_NAMES] if isinstance(name, Mapping) and name.get("use") not in _NEVER]
    usable.sort(key=lambda name: _PREFERENCE.get(name.get("use"), 3))
    read = [_read(*stated_parts(name)) for name in usable]
    if not read:
        return NameParts()
    current = read[0]
    families = dict.fromkeys(form for one in read for form in _forms(one.families, one.family))
    givens = dict.fromkeys(form for one in read for form in _forms(one.givens, one.given))
    return NameParts(
        given=current.given,
        givens=tuple(givens),
        middle=current.middle,
        family=current.family,
        families=tuple(families),
        given_native=current.given_native,
        family_native=current.family_native,
        suffix=next((one.suffix for one in read if one.suffix), ""),
        newborn=current.newborn,
        mother_given=current.mother_given,
        birth_order=current.birth_order,
    )


def _forms(many: Iterable[str], one: str) -> Iterator[str]:
    if one:
        yield one
    yield from many


def stated_parts(name: Mapping[str, Any]) -> tuple[str, Sequence[str], Sequence[str]]:
    """Family name, given names and suffixes as a HumanName states them, or as its `text` alone is understood."""
    family = name.get("family") or ""
    given = [one for one in name.get("given") or () if one]
    suffixes = [one for one in name.get("suffix") or () if one]
    if not family and not given:
        return *_split(name.get("text") or ""), suffixes
    return family, given, suffixes


def _split(text: str) -> tuple[str, Sequence[str]]:
    # "Family, Given Given" as registries print it, otherwise "Given Given Family".
    before, comma, after = text[:_MOST_LETTERS].partition(",")
    if comma and not _is_suffix(after):
        return before, after.split()
    parts = [part for part in text.replace(",", " ").split() if _key(part) not in _TITLES]
    tail = [part for part in parts if _is_suffix(part)]
    parts = [part for part in parts if not _is_suffix(part)]
    start = len(parts) - 1
    while start > 1 and _key(parts[start - 1]) in _PARTICLES:
        start -= 1
    return " ".join([*parts[max(start, 0) :], *tail]), parts[: max(start, 0)]


@lru_cache(maxsize=16384)
def _key(text: str) -> str:
    return "".join(words(text))


def _is_suffix(text: str) -> bool:
    return _key(text) in _SUFFIXES


def _read(family: str, given: Sequence[str], suffixes: Iterable[str]) -> NameParts:
    family_words, suffix = _without_suffix(words(family))
    given_words, trailing = _without_suffix([_key(one) if len(words(one)) < 2 else one for one in given])
    child = _child([word for one in given_words for word in words(one)])
    real = () if child else tuple(one for one in given_words if _is_name(one))
    key = "".join(family_words)
    if key in _NOT_NAMES:
        key, family_words = "", ()
    first = _key(real[0]) if real else ""
    return NameParts(
        given=first,
        givens=tuple(dict.fromkeys(form for one in real for form in _compound(words(one)) if len(form) > 1)),
        middle="".join(_key(one) for one in real[1:]),
        family=key,
        families=_compound(family_words) if key else (),
        given_native=native(given[0]) if first else "",
        family_native=native(family) if key else "",
        suffix=next((found for one in suffixes if (found := _SUFFIXES.get(_key(one)))), suffix or trailing),
        newborn=child is not None,
        mother_given=child[0] if child else "",
        birth_order=child[1] if child else 0,
    )


def _without_suffix(parts: Sequence[str]) -> tuple[tuple[str, ...], str]:
    if len(parts) > 1 and (suffix := _SUFFIXES.get(_key(parts[-1]))):
        return tuple(parts[:-1]), suffix
    return tuple(parts), ""


def _is_name(text: str) -> bool:
    key = _key(text)
    return bool(key) and key not in _NOT_NAMES and key not in _TITLES and not key.isdigit()


@lru_cache(maxsize=16384)
def _compound(parts: tuple[str, ...]) -> tuple[str, ...]:
    # "garcia-lopez" goes with "garcia" and with "lopez"; a particle says nothing alone.
    telling = [part for part in parts if len(part) > 2 and part not in _PARTICLES]
    whole = "".join(parts)
    bare = "".join(part for part in parts if part not in _PARTICLES)
    return tuple(form for form in dict.fromkeys((whole, bare, *telling)) if form)


def _child(given: Sequence[str]) -> tuple[str, int] | None:
    """The mother's given name and the order of birth where `given` stands for a child without a name."""
    marks = [place for place, word in enumerate(given) if word in _CHILD]
    if not marks:
        return None
    before, after = given[: marks[0]], [word for word in given[marks[0] :] if word not in _CHILD]
    if given[marks[0]] not in _CHILD_ONLY and len(marks) == 1 and not before and after and after[0] not in _ORDERS:
        return None
    order = next((_ORDERS[word] for word in after if word in _ORDERS), 0)
    mother = before[0] if before else next((word for word in after if word not in _ORDERS), "")
    return mother, order
