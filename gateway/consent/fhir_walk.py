"""Walks a resource that comes in, gathering by path all that is wrong, so that it is told at once. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.consent.period import moment_of
from gateway.model import Moment


class Walk:
    """The problems of one resource. What it is asked to look at is a closed list: anything else is refused."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def refuse(self, path: str, reason: str) -> None:
        """The resource has this problem there."""
        self.problems.append(f"{path}: {reason}")

    def only(self, node: Mapping[str, Any], path: str, known: frozenset[str], expected: str) -> None:
        """`node` has no element beside `known`; ids and extensions modify nothing and may be anywhere."""
        for name in node:
            plain = name in known or name in ("id", "extension")
            if not plain and not (name.startswith("_") and name[1:] in node) and name != "modifierExtension":
                self.refuse(f"{path}.{name}", f"not evaluated; expected only {expected}")

    def items(self, node: Mapping[str, Any], name: str, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
        """Each object of a repeating element, with its path. An absent element has none; an empty one is refused."""
        if name in node:
            for index, item in enumerate(self.each(node, name, path)):
                yield item, f"{path}.{name}[{index}]"

    def each(self, node: Mapping[str, Any], name: str, path: str) -> list[Mapping[str, Any]]:
        """The objects of a repeating element that is there."""
        items = node[name]
        if isinstance(items, list) and items and all(isinstance(item, dict) for item in items):
            return items
        # FHIR R4 §json: an array is never empty. Read as "any", an empty list would mean the most where it says least.
        self.refuse(f"{path}.{name}", "expected a list that is not empty")
        return []

    def limits(self, node: Mapping[str, Any], name: str, path: str) -> Mapping[str, Moment | None]:
        """What `start` and `end` of a Period denote; nothing where there is no Period, or none that can be read."""
        if name not in node:
            return {}
        path = f"{path}.{name}"
        period = node[name]
        if not isinstance(period, dict) or not period.keys() & {"start", "end"}:
            self.refuse(path, "expected start, end or both")
            return {}
        self.only(period, path, frozenset(("start", "end")), "start and end")
        moments = {limit: _moment(period[limit]) for limit in ("start", "end") if limit in period}
        for limit in (limit for limit, moment in moments.items() if moment is None):
            self.refuse(f"{path}.{limit}", "expected a FHIR dateTime (a time with its offset)")
        start, end = moments.get("start"), moments.get("end")
        if start and end and end.end <= start.start:
            self.refuse(path, "the end lies before the start")
        return moments

    def refuse_modifiers(self, node: object, path: str) -> None:
        """FHIR R4 §modifierExtension: a resource with one that isn't understood must not be processed."""
        waiting = [(node, path)]
        while waiting:
            item, at = waiting.pop()
            if isinstance(item, dict):
                if "modifierExtension" in item:
                    self.refuse(f"{at}.modifierExtension", "not evaluated")
                waiting += [(value, f"{at}.{name}") for name, value in item.items()]
            elif isinstance(item, list):
                waiting += [(value, f"{at}[{index}]") for index, value in enumerate(item)]


def _moment(value: object) -> Moment | None:
    return moment_of(value) if isinstance(value, str) else None


def codings_of(concept: object) -> set[tuple[str, str]]:
    """System and code of each coding of a CodeableConcept."""
    codings = concept.get("coding") if isinstance(concept, dict) else None
    return {
        (coding["system"], coding["code"])
        for coding in (codings if isinstance(codings, list) else ())
        if isinstance(coding, dict) and isinstance(coding.get("system"), str) and isinstance(coding.get("code"), str)
    }
