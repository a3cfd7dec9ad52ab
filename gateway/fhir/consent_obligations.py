"""What goes with a permission: what has to be left out, and what its receiver has to heed, as codes. Pure.

For a decision service (`REDACT` with `codes` or `exceptAnyOfCodes`) and for the answer to `$who-may-answer`.
"""

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Any

from gateway.consent.labels import ACT_CODE
from gateway.consent.redaction import Redaction, codings_of_codes
from gateway.consent_questions import Consulted
from gateway.model import Facility

_REDACT = {"system": ACT_CODE, "code": "REDACT"}


def obligations_of(consulted: Consulted) -> list[dict[str, Any]]:
    """Over all facilities that may answer: none of them may show what one of them withholds."""
    if not consulted.permitted:
        return []
    redaction = reduce(or_, consulted.redactions.values())
    obligations: list[dict[str, Any]] = [
        {"id": _REDACT, "parameters": {name: codings}} for name, codings in _bounds_of(redaction)
    ]
    if redaction.more or not all(decision.permitted for decision in consulted.decisions):
        obligations.append({"id": _REDACT})
    codes = {code for decision in consulted.decisions if decision.permitted for code in decision.obligations}
    return [*obligations, *({"id": {"system": ACT_CODE, "code": code}} for code in sorted(codes))]


def answers_of(consulted: Consulted, *, with_obligations: bool) -> list[dict[str, Any]]:
    """A parameter for each facility that may answer, and one for each obligation on what it answers."""
    return [part for one in consulted.permitted for part in _answer(one, consulted, with_obligations)]


def _answer(facility: Facility, consulted: Consulted, with_obligations: bool) -> Iterator[dict[str, Any]]:
    reference = f"Organization/{facility.id}"
    yield {"name": "facility", "valueReference": {"reference": reference, "display": facility.name}}
    redaction = consulted.redactions[facility.id]
    bounds = list(_bounds_of(redaction))
    for name, codings in [*bounds, *([("", [])] if redaction.more else [])] if with_obligations else []:
        about = {"name": "facility", "valueReference": {"reference": reference}}
        parts = [about, {"name": "code", "valueCoding": _REDACT}]
        parts += [{"name": name, "valueCoding": coding} for coding in codings]
        yield {"name": "obligation", "part": parts}


def _bounds_of(redaction: Redaction) -> Iterator[tuple[str, list[dict[str, str]]]]:
    if redaction.codes:
        yield "codes", codings_of_codes(redaction.codes)
    if redaction.except_any_of is not None:
        yield "exceptAnyOfCodes", codings_of_codes(redaction.except_any_of)
