"""Reading one FHIR R4 Patient that a domain sends: a source record, or refused with the element and the reason.

`fhir.resources` (R4B, whose Patient is R4's) checks the structure; what it lets pass, and what the exchange needs
beyond FHIR, is checked here. A refusal never quotes a value: it may be a patient's.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from gateway.errors import LoadRefused
from gateway.model import Identifier
from gateway.mpi.demographics import demographics_of, identifiers_of
from gateway.mpi.patient_record import PatientRecord
from gateway.mpi.plain_patient import is_plain

GENDERS = frozenset(("male", "female", "other", "unknown"))
"""http://hl7.org/fhir/administrative-gender, a required binding."""
_MOST_PROBLEMS = 5
_ELEMENT = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,40}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_REASONS = {
    "missing": "required",
    "extra_forbidden": "not an element of a FHIR R4 Patient",
    "string_type": "not a string",
    "string_pattern_mismatch": "empty, or with characters that are not allowed here",
    "string_too_short": "empty",
    "list_type": "not a list of the elements that belong here",
    "model_type": "not an object",
    "bool_type": "not true or false",
    "bool_parsing": "not true or false",
    "int_type": "not a whole number",
    "int_parsing": "not a whole number",
    "url_parsing": "not a URL",
}


def read_patient(resource: Mapping[str, Any], domains: frozenset[str]) -> PatientRecord:
    """The source record that `resource` states; `domains` are the facilities' identifier systems.

    A value is taken without the white space around it. Raises LoadRefused with every problem found, up to five.
    """
    require_patient(resource)
    sources = {one for one in identifiers_of(resource) if one.system in domains}
    if len(sources) != 1:
        raise LoadRefused([_SOURCES_NEEDED[bool(sources)]])
    return _record(resource, sources.pop())


def require_patient(resource: Mapping[str, Any]) -> None:
    """`resource` is a Patient that can be read, whoever's it is. Raises LoadRefused as `read_patient`."""
    if not is_plain(resource):
        look_closely(resource)


def look_closely(resource: Mapping[str, Any]) -> None:
    """`resource` is a Patient by every rule there is. Raises LoadRefused."""
    if resource.get("resourceType") != "Patient":
        raise LoadRefused(["resourceType: not Patient"])
    problems = list(_structural_problems(resource)) or list(_semantic_problems(resource))
    if problems:
        raise LoadRefused(problems[:_MOST_PROBLEMS])


_SOURCES_NEEDED = {
    False: "Patient.identifier: none is in the identifier_system of a registered facility",
    True: "Patient.identifier: more than one is in the identifier_system of a registered facility",
}


def _record(resource: Mapping[str, Any], source: Identifier) -> PatientRecord:
    return PatientRecord(
        source=source,
        identifiers=identifiers_of(resource),
        demographics=demographics_of(resource),
        active=resource.get("active", True) is not False,
        content=orjson.dumps(resource, option=orjson.OPT_SORT_KEYS),
    )


def _structural_problems(resource: Mapping[str, Any]) -> Iterator[str]:
    # Loaded for a Patient that is looked at closely alone: a worker that answers searches goes without.
    from fhir.resources.R4B.patient import Patient
    from pydantic import ValidationError

    try:
        read = Patient.model_validate(resource)
        yield from _texts_for_objects(resource, read.model_dump(), "Patient")
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            yield _in_our_words(error["loc"], error["type"])
    except RecursionError:
        yield "Patient: nested too deeply"
    except (LookupError, TypeError, AttributeError, ValueError):  # how the library tells of a type that FHIR lacks
        yield from _unreadable(resource) or ("Patient: an element is of another type than FHIR R4 says",)


def _texts_for_objects(stated: Any, read: Any, path: str) -> Iterator[str]:
    """Where the library has read JSON within a text as the object that belongs there."""
    if isinstance(read, dict) and isinstance(stated, dict):
        for name, one in read.items():
            yield from _texts_for_objects(stated.get(name), one, f"{path}.{name}")
    elif isinstance(read, list) and isinstance(stated, list):
        for number, (value, one) in enumerate(zip(stated, read, strict=False)):
            yield from _texts_for_objects(value, one, f"{path}[{number}]")
    elif isinstance(stated, str) and isinstance(read, dict | list):
        yield f"{path}: not an object"


def _unreadable(resource: Mapping[str, Any]) -> list[str]:
    """The contained resources that the library knows no type for."""
    from fhir.resources.R4B.patient import Patient
    from pydantic import ValidationError

    problems = []
    contained = resource.get("contained")
    for number, one in enumerate(contained if isinstance(contained, list) else ()):
        try:
            Patient.model_validate({"resourceType": "Patient", "contained": [one]})
        except ValidationError:  # the whole is to be mended first: this one is told of then
            continue
        except (LookupError, TypeError, AttributeError, ValueError):
            problems.append(f"Patient.contained[{number}]: not a resource of a type that FHIR R4 has")
    return problems


def _in_our_words(place: Sequence[str | int], kind: str) -> str:
    reason = "not a date" if place == ("birthDate",) else _REASONS.get(kind, "not valid in FHIR R4")
    return f"{_path(place)}: {reason}"


def _path(place: Iterable[str | int]) -> str:
    path = "Patient"
    for step in (one for one in place if one != "root"):  # the validator's word for the resource itself
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            # A name that FHIR can't have is the file's own text, and is not repeated.
            path += f".{step}" if _ELEMENT.fullmatch(step) else ".(an unknown name)"
    return path


def _semantic_problems(resource: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(resource.get("active", True), bool):
        yield "Patient.active: not true or false"
    if resource.get("gender") not in (None, *GENDERS):
        yield "Patient.gender: not one of male, female, other, unknown"
    for number, identifier in enumerate(resource.get("identifier") or ()):
        for element in ("system", "value"):
            text = identifier.get(element)
            if text is not None and (not text.strip() or _CONTROL.search(text)):
                yield f"Patient.identifier[{number}].{element}: empty, or holds control characters"
    for number, name in enumerate(resource.get("name") or ()):
        texts = [name.get("family"), *(name.get("given") or ())]
        if any(text and _CONTROL.search(text) for text in texts):
            yield f"Patient.name[{number}]: holds control characters"
