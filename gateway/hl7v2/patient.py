"""Which FHIR Patient does a PID segment state? By the HL7 v2-to-FHIR mapping, as far as it is of use here. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.hl7v2.message import Repetition, Segment, component
from gateway.hl7v2.refusal import MessageRefused
from gateway.model import Facility, Identifier

SSN = "http://hl7.org/fhir/sid/us-ssn"
MOTHERS_MAIDEN_NAME = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
_MARITAL = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"
_SEXES = {"F": "female", "M": "male", "O": "other", "A": "other", "U": "unknown"}
_NAME_USES = {"L": "official", "D": "usual", "M": "maiden", "N": "nickname", "T": "temp", "S": "anonymous", "B": "old"}
_ADDRESS_USES = {"H": "home", "L": "home", "P": "home", "B": "work", "O": "work", "C": "temp", "BA": "old"}
_TELECOM_SYSTEMS = {"PH": "phone", "CP": "phone", "FX": "fax", "BP": "pager", "INTERNET": "email", "X.400": "email"}
_DATE = re.compile(r"(\d{4})(?:(\d{2})(?:(\d{2})(?:\d{2}.*)?)?)?")
Element = dict[str, Any]


def own_identifier(segment: Segment, number: int, facility: Facility) -> Identifier:
    """The one identifier of the facility's own domain in the field. Raises MessageRefused (AE) for none or several."""
    own = {one for one in _identifiers(segment, number, facility) if one.system == facility.identifier_system}
    if len(own) != 1:
        condition, words = ("101", "no identifier") if not own else ("102", "more than one identifier")
        raise MessageRefused("AE", condition, f"field {number}: {words} of the sending facility's own domain")
    return own.pop()


def to_patient(pid: Segment, facility: Facility, domains: frozenset[str]) -> Element:
    """The Patient, under its own identifier. Identifiers of other facilities' domains are left out: a feed speaks of
    its own. Raises MessageRefused (AE) for a date that is none, or where its own identifier is missing."""
    own = own_identifier(pid, 3, facility)
    others = [one for one in _identifiers(pid, 3, facility) if one.system not in domains]
    ssn = pid.first(19)
    if ssn:
        others.append(Identifier(SSN, ssn))
    patient: Element = {
        "resourceType": "Patient",
        "identifier": [{"system": one.system, "value": one.value} for one in dict.fromkeys([own, *others])],
        "active": True,
        "name": [name for parts in pid.repetitions(5) if (name := _name(pid, parts))],
        "gender": _SEXES.get(pid.first(8).upper()),
        "birthDate": _date(pid.first(7), 7),
        "address": [address for parts in pid.repetitions(11) if (address := _address(pid, parts))],
        "telecom": [*_telecoms(pid, 13, "home"), *_telecoms(pid, 14, "work")],
        **_more(pid),
    }
    return {name: value for name, value in patient.items() if value not in (None, "", [], {})}


def _more(pid: Segment) -> Element:
    more: Element = {}
    for parts in pid.repetitions(6)[:1]:
        if family := pid.subcomponents(component(parts, 1))[0]:
            more["extension"] = [{"url": MOTHERS_MAIDEN_NAME, "valueString": family}]
    if (marital := pid.first(16).upper()) in ("D", "M", "S", "W"):
        more["maritalStatus"] = {"coding": [{"system": _MARITAL, "code": marital}]}
    if (order := pid.first(25)).isascii() and order.isdigit():
        more["multipleBirthInteger"] = int(order[:4])
    elif pid.first(24).upper() in ("Y", "N"):
        more["multipleBirthBoolean"] = pid.first(24).upper() == "Y"
    if died := _date(pid.first(29), 29):
        more["deceasedDateTime"] = died
    elif pid.first(30).upper() in ("Y", "N"):
        more["deceasedBoolean"] = pid.first(30).upper() == "Y"
    return more


def _identifiers(segment: Segment, number: int, facility: Facility) -> Iterator[Identifier]:
    for parts in segment.repetitions(number):
        value = segment.subcomponents(component(parts, 1))[0]
        system = _system(segment.subcomponents(component(parts, 4)), facility)
        if value and system:
            yield Identifier(system, value)


def _system(authority: list[str], facility: Facility) -> str | None:
    """The URI of an assigning authority (HD); without one it is the facility's own; None where none can be told."""
    namespace, universal, kind = (*authority, "", "", "")[:3]
    if universal:
        return _uri(universal, kind.upper())
    if not namespace or namespace in (facility.issuer, facility.id):
        return facility.identifier_system
    return None


def _uri(universal: str, kind: str) -> str | None:
    if kind in ("ISO", "OID", ""):
        return f"urn:oid:{universal.removeprefix('urn:oid:')}"
    return {"URI": universal, "UUID": f"urn:uuid:{universal.lower()}"}.get(kind)


def _name(segment: Segment, parts: Repetition) -> Element:
    def text(number: int) -> str:
        return segment.subcomponents(component(parts, number))[0]

    given = [text(2), *text(3).split()]
    name: Element = {
        "use": _NAME_USES.get(text(7).upper()),
        "family": text(1),
        "given": [one for one in given if one],
        "suffix": [one for one in (text(4),) if one],
        "prefix": [one for one in (text(5),) if one],
    }
    stated = {key: value for key, value in name.items() if value}
    return stated if stated.keys() - {"use"} else {}


def _address(segment: Segment, parts: Repetition) -> Element:
    def text(number: int) -> str:
        return segment.subcomponents(component(parts, number))[0]

    address: Element = {
        "use": _ADDRESS_USES.get(text(7).upper()),
        "line": [one for one in (text(1), text(2)) if one],
        "city": text(3),
        "state": text(4),
        "postalCode": text(5),
        "country": text(6),
    }
    stated = {key: value for key, value in address.items() if value}
    return stated if stated.keys() - {"use"} else {}


def _telecoms(segment: Segment, number: int, use: str) -> Iterator[Element]:
    for parts in segment.repetitions(number):
        texts = [segment.subcomponents(part)[0] for part in parts]
        stated = dict(enumerate(texts, start=1))
        system = _TELECOM_SYSTEMS.get(stated.get(3, "").upper(), "phone")
        mobile = stated.get(3, "").upper() == "CP"
        numbers = "".join(stated.get(place, "") for place in (5, 6, 7))
        value = (stated.get(4) if system == "email" else "") or stated.get(1) or stated.get(12) or numbers
        if value:
            yield {"system": system, "value": value, "use": "mobile" if mobile else use}
        elif stated.get(4):
            yield {"system": "email", "value": stated[4], "use": use}


def _date(text: str, number: int) -> str | None:
    if not text:
        return None
    found = _DATE.fullmatch(text)
    if found is None:
        raise MessageRefused("AE", "102", f"PID-{number}: not a date")
    return "-".join(part for part in found.groups() if part)


def moved_to(old: Mapping[str, Any], stated: Mapping[str, Any], facility: Facility) -> Element:
    """The Patient under its new identifier: what `stated` says, and for the rest what was known under the old one."""
    others = [one for one in old.get("identifier", ()) if one.get("system") != facility.identifier_system]
    kept = {name: value for name, value in old.items() if name not in ("identifier", "active", "link", "id", "meta")}
    told = [*stated["identifier"], *(one for one in others if one not in stated["identifier"])]
    return {**kept, **stated, "identifier": told, "active": True}
