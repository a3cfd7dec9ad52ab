"""What does a request to an archive ask for? DICOMweb URIs read as narrowly as they can be written. Pure.

Two programs that read one URI differently are how a gate is passed: so only what both must read alike is read at all.
No escapes, no empty or dotted segments, no parameters in the path (`;`), nothing that comes after the known resources
of DICOM PS3.18 §10.4 and §10.6. Everything else is None, which is refused.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from gateway.model import Facility, StudyUID

Level = Literal["study", "series", "instance"]
READING = frozenset(("GET", "HEAD"))
_MOST_CHARACTERS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One study, or a part of it, that is to be fetched or listed."""

    study: StudyUID
    series: str | None = None
    instance: str | None = None
    lists: bool = False
    """Whether it is a list of what this archive holds of it (QIDO-RS), and not the images themselves."""
    frames: bool = False
    """Whether it is one of the many small requests that a viewer makes of an instance."""

    @property
    def level(self) -> Level:
        """The level of the DICOM information model that it stands on."""
        if self.instance is not None:
            return "instance"
        return "study" if self.series is None else "series"


_UID = r"[0-9]+(?:\.[0-9]+)+"
_STUDY = rf"/studies/(?P<study>{_UID})"
_SERIES = rf"/series/(?P<series>{_UID})"
_INSTANCE = rf"/instances/(?P<instance>{_UID})"
_RENDERED = (
    r"(?P<rest>/metadata|/rendered|/thumbnail|/pixeldata|/bulk(?:data)?(?:/[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*){0,16})?"
)
_FRAMES = (
    r"(?P<frames>/frames/[1-9][0-9]{0,9}(?:(?:,|%2[Cc])[1-9][0-9]{0,9}){0,99}(?:/rendered|/thumbnail|/pixeldata)?)"
)
_FETCHED = re.compile(rf"{_STUDY}(?:{_SERIES}(?:{_INSTANCE})?)?{_RENDERED}", re.ASCII)
_FETCHED_FRAMES = re.compile(rf"{_STUDY}{_SERIES}{_INSTANCE}{_FRAMES}", re.ASCII)
_LISTED = re.compile(rf"{_STUDY}(?:/series(?:/(?P<series>{_UID})/instances)?|/instances)", re.ASCII)
_SEARCHED = re.compile(r"/(?:studies|series|instances)", re.ASCII)
_MOST_UID_CHARACTERS = 64

_OF_FETCHING = frozenset(("accept", "charset", "annotation", "quality", "viewport", "window", "iccprofile", "frame"))
_OF_LISTING = frozenset(("includefield", "limit", "offset", "fuzzymatching", "accept"))
_NARROWING = frozenset(
    ("SeriesInstanceUID", "0020000E", "SOPInstanceUID", "00080018", "Modality", "00080060", "SeriesNumber", "00200011")
)
_STUDY_KEYS = ("StudyInstanceUID", "0020000D")
_QUERY = re.compile(r"[!-~]*", re.ASCII)


def prefixes_of(facility: Facility) -> frozenset[str]:
    """Under which paths clients reach a facility's DICOMweb service: those of its own address and of its gate."""
    return _paths_of(facility.gate_url, facility.link_url)


def own_prefixes_of(facility: Facility) -> frozenset[str]:
    """As its archive itself has them: also the path where the gateway asks it, which may stand behind a proxy."""
    return _paths_of(facility.gate_url, facility.link_url, facility.query_url)


@lru_cache(maxsize=1024)
def _paths_of(*urls: str | None) -> frozenset[str]:
    return frozenset(urlsplit(url).path.rstrip("/") for url in urls if url)


def read_uri(uri: str, prefixes: frozenset[str]) -> Resource | None:
    """The resource that `uri` (path and query, as the client wrote them) names; None for anything else."""
    if len(uri) > _MOST_CHARACTERS or not uri.startswith("/"):
        return None
    path, has_query, query = uri.partition("?")
    fitting = [one for one in prefixes if path.startswith(one + "/")]
    if not fitting:
        return None
    prefix = max(fitting, key=len)
    parameters = _parameters(query) if has_query else []
    return None if parameters is None else _resource(path.removeprefix(prefix), parameters)


def _resource(path: str, parameters: list[tuple[str, str]]) -> Resource | None:
    names = {name for name, _ in parameters}
    frames = _FETCHED_FRAMES.fullmatch(path)
    fetched = frames or _FETCHED.fullmatch(path)
    if fetched is not None:
        return _checked(fetched, frames=frames is not None) if names <= _OF_FETCHING else None
    listed = _LISTED.fullmatch(path)
    if listed is not None:
        return _checked(listed, lists=True) if names <= _OF_LISTING | _NARROWING else None
    return _search(parameters, names) if _SEARCHED.fullmatch(path) else None


def _checked(match: re.Match[str], *, frames: bool = False, lists: bool = False) -> Resource | None:
    groups = match.groupdict()
    uids = [uid for name in ("study", "series", "instance") if (uid := groups.get(name)) is not None]
    if any(len(uid) > _MOST_UID_CHARACTERS for uid in uids):
        return None
    return Resource(
        study=StudyUID(groups["study"]),
        series=groups.get("series"),
        instance=groups.get("instance"),
        lists=lists,
        frames=frames,
    )


def _search(parameters: list[tuple[str, str]], names: set[str]) -> Resource | None:
    """A search of the archive that names exactly one study, whole; whatever else it says only narrows it."""
    studies = [value for name, value in parameters if name in _STUDY_KEYS]
    if len(studies) != 1 or not names <= _OF_LISTING | _NARROWING | set(_STUDY_KEYS):
        return None
    (uid,) = studies
    return Resource(study=StudyUID(uid), lists=True) if is_uid(uid) else None


def is_uid(text: str) -> bool:
    """Whether `text` is a UID as archives write them: digits and dots, no wildcard, no list."""
    return len(text) <= _MOST_UID_CHARACTERS and re.fullmatch(_UID, text, re.ASCII) is not None


def _parameters(query: str) -> list[tuple[str, str]] | None:
    """The parameters as they are written, names without escapes; None where programs might read them differently."""
    if _QUERY.fullmatch(query) is None or ";" in query or "#" in query:
        return None
    pairs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if re.fullmatch(r"[A-Za-z0-9]{1,32}", name, re.ASCII) is None:
            return None
        pairs.append((name, value))
    return pairs
