"""FHIR XML: a resource read from it and written to it (FHIR R4 §xml), for the types that this API has in XML.

A document type declaration is refused where it begins, so that no entity is ever defined, expanded or fetched.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from gateway.consent.fhir_text import XHTML, is_xhtml
from gateway.errors import InvalidQuery, PayloadTooLarge
from gateway.fhir.xml_order import place_of

MOST_BYTES = 1_000_000
MOST_DEPTH = 64
_FHIR = "http://hl7.org/fhir"
_BETWEEN = "\x1f"
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,18})?", re.ASCII)

_REPEATING_ANYWHERE = frozenset(("extension", "modifierExtension", "coding", "contained"))
_REPEATING: Mapping[str, frozenset[str]] = {
    "Consent": frozenset(
        (
            *("identifier", "category", "performer", "organization", "policy", "verification", "grantor", "grantee"),
            *("manager", "controller", "regulatoryBasis", "policyText"),
        )
    ),
    "provision": frozenset(
        (
            *("actor", "action", "securityLabel", "purpose", "class", "code", "data", "provision", "documentType"),
            "resourceType",
        )
    ),
    "meta": frozenset(("profile", "security", "tag")),
    "Group": frozenset(("identifier", "member", "characteristic")),
    "Patient": frozenset(
        ("identifier", "name", "telecom", "address", "photo", "contact", "communication", "generalPractitioner", "link")
    ),
    "name": frozenset(("given", "prefix", "suffix")),
    "address": frozenset(("line",)),
    "contact": frozenset(("relationship", "telecom")),
    "Parameters": frozenset(("parameter",)),
    "parameter": frozenset(("part",)),
    "OperationOutcome": frozenset(("issue",)),
    "DocumentReference": frozenset(
        ("identifier", "category", "author", "relatesTo", "securityLabel", "content", "basedOn", "modality", "event")
    ),
    "context": frozenset(("encounter", "event", "related")),
    "QuestionnaireResponse": frozenset(("basedOn", "partOf", "item")),
    "item": frozenset(("answer", "item")),
    "answer": frozenset(("item",)),
    "Bundle": frozenset(("link", "entry")),
}
_IN_R5 = frozenset(("provision", "sourceAttachment", "sourceReference"))
"""Of Consent, those that R5 has as lists and R4 as single elements."""
_TRUTHS = frozenset(
    (
        *("active", "actual", "inactive", "verified", "userSelected", "exclude", "valueBoolean", "deceasedBoolean"),
        *("multipleBirthBoolean", "preferred"),
    )
)
_NUMBERS = frozenset(
    (
        "size",
        "quantity",
        "rank",
        "multipleBirthInteger",
        "valueInteger",
        "valueDecimal",
        "valuePositiveInt",
        "valueUnsignedInt",
    )
)
_ATTRIBUTES = frozenset(("id", "url"))
_EVERY_ATTRIBUTE = _ATTRIBUTES | {"value"}

Resource = dict[str, Any]


def read_xml_resource(body: bytes) -> Resource:
    """The resource in `body`, as its JSON form has it.

    Raises PayloadTooLarge; InvalidQuery for what is no FHIR XML, and for any document type declaration.
    """
    if len(body) > MOST_BYTES:
        raise PayloadTooLarge(f"the XML is longer than {MOST_BYTES} bytes")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=_BETWEEN)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_doctype
    parser.ProcessingInstructionHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
    except expat.ExpatError as exc:
        raise InvalidQuery(f"the XML can't be read at line {exc.lineno}, column {exc.offset}") from exc
    if reader.root is None:
        raise InvalidQuery("the XML holds no resource")
    return _as_resource(reader.root)


def _refuse_doctype(*_: object) -> None:
    raise InvalidQuery("the XML has a document type, an entity or a processing instruction")


class _Node:
    """One element: its name, its attributes, what is in it; a narrative as its text."""

    __slots__ = ("attributes", "children", "name", "narrative")

    def __init__(self, name: str, attributes: Mapping[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[_Node] = []
        self.narrative: list[str] | None = None


class _Reader:
    def __init__(self) -> None:
        self.root: _Node | None = None
        self._open: list[_Node] = []
        self._in_narrative = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(_BETWEEN)
        if len(self._open) + self._in_narrative >= MOST_DEPTH:
            raise InvalidQuery(f"the XML is nested more than {MOST_DEPTH} levels deep")
        if self._in_narrative or (space == XHTML and local == "div"):
            self._start_narrative(local, attributes)
            return
        if space != _FHIR or not attributes.keys() <= _EVERY_ATTRIBUTE:
            raise InvalidQuery(f"the XML has elements or attributes outside of {_FHIR}")
        node = _Node(local, attributes)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def _start_narrative(self, local: str, attributes: Mapping[str, str]) -> None:
        if not self._open:
            raise InvalidQuery("the XML holds no resource")
        if not self._in_narrative:
            node = _Node("div", {})
            node.narrative = []
            self._open[-1].children.append(node)
            attributes = {"xmlns": XHTML, **attributes}
        self._in_narrative += 1
        written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items() if _BETWEEN not in key)
        self._narrative().append(f"<{local}{written}>")

    def _narrative(self) -> list[str]:
        narrative = self._open[-1].children[-1].narrative
        return narrative if narrative is not None else []

    def end(self, name: str) -> None:
        if not self._in_narrative:
            self._open.pop()
            return
        self._narrative().append(f"</{name.rpartition(_BETWEEN)[2]}>")
        self._in_narrative -= 1

    def text(self, text: str) -> None:
        if self._in_narrative:
            self._narrative().append(escape(text))
        elif text.strip():
            raise InvalidQuery("the XML has text between its elements")


def _as_resource(node: _Node) -> Resource:
    resource: Resource = {"resourceType": node.name}
    r5 = node.name == "Consent" and any(child.name in ("decision", "subject") for child in node.children)
    repeating = _REPEATING.get(node.name, frozenset()) | (_IN_R5 if r5 else frozenset())
    return resource | _members(node, repeating)


def _members(node: _Node, repeating: frozenset[str]) -> dict[str, Any]:
    members: dict[str, Any] = {key: value for key, value in node.attributes.items() if key in _ATTRIBUTES}
    for child in node.children:
        value, beside = _value(child)
        many = child.name in repeating or child.name in _REPEATING_ANYWHERE
        _put(members, child.name, value, many=many)
        if beside:
            _put(members, f"_{child.name}", beside, many=many)
    return members


def _put(members: dict[str, Any], name: str, value: Any, *, many: bool) -> None:
    if many:
        members.setdefault(name, []).append(value)
    elif name in members:
        raise InvalidQuery("the XML has an element twice that may be there once")
    else:
        members[name] = value


def _value(node: _Node) -> tuple[Any, dict[str, Any]]:
    """What the element holds, and what JSON has beside a primitive's value (its id and extensions)."""
    if node.narrative is not None:
        return "".join(node.narrative), {}
    if node.name in ("contained", "resource") and len(node.children) == 1:
        return _as_resource(node.children[0]), {}
    inside = _members(node, _REPEATING.get(node.name, frozenset()))
    if "value" not in node.attributes:
        return inside, {}
    return _primitive(node.name, node.attributes["value"]), inside


def _primitive(name: str, text: str) -> str | bool | int | float:
    if name in _TRUTHS and text in ("true", "false"):
        return text == "true"
    if name in _NUMBERS and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text


def write_xml(resource: Mapping[str, Any], *, pretty: bool = False) -> bytes:
    """The resource in FHIR XML."""
    lines = list(_written(str(resource["resourceType"]), resource, 0, {"xmlns": _FHIR}))
    return ('<?xml version="1.0" encoding="UTF-8"?>' + ("\n" if pretty else "") + _joined(lines, pretty)).encode()


def _joined(lines: list[tuple[int, str]], pretty: bool) -> str:
    return "\n".join("  " * depth + text for depth, text in lines) if pretty else "".join(text for _, text in lines)


def _written(
    name: str, node: Mapping[str, Any], depth: int, attributes: Mapping[str, str]
) -> Iterator[tuple[int, str]]:
    stated = dict(attributes)
    is_resource = "resourceType" in node
    if not is_resource:
        stated |= {key: str(node[key]) for key in ("id",) if key in node}
        stated |= {"url": str(node["url"])} if "url" in node and name in ("extension", "modifierExtension") else {}
    inner: list[tuple[int, str]] = []
    members = (key for key in node if key != "resourceType" and not key.startswith("_"))
    for key in sorted(members, key=lambda key: place_of(key, name, node)):
        if key in stated and not is_resource:
            continue
        beside = node.get(f"_{key}")
        values = node[key] if isinstance(node[key], list) else [node[key]]
        for value in values:
            inner += _element(key, value, beside if isinstance(beside, dict) else {}, depth + 1)
    opened = "".join(f" {key}={quoteattr(value)}" for key, value in stated.items())
    if not inner:
        yield depth, f"<{name}{opened}/>"
        return
    yield depth, f"<{name}{opened}>"
    yield from inner
    yield depth, f"</{name}>"


def _element(name: str, value: Any, beside: Mapping[str, Any], depth: int) -> Iterator[tuple[int, str]]:
    if isinstance(value, dict) and "resourceType" in value:
        yield depth, f"<{name}>"
        yield from _written(str(value["resourceType"]), value, depth + 1, {})
        yield depth, f"</{name}>"
    elif isinstance(value, dict):
        yield from _written(name, value, depth, {})
    elif name == "div":
        yield depth, _narrative(str(value))
    else:
        text = str(value).lower() if isinstance(value, bool) else _NO_XML.sub("\ufffd", str(value))
        yield from _written(name, beside, depth, {"value": text})


def _narrative(div: str) -> str:
    """The narrative as it is, where it is XHTML; else its words, which can't be taken for elements of the resource."""
    if is_xhtml(div):
        return div
    words = escape(_NO_XML.sub("\ufffd", div))
    return f'<div xmlns="{XHTML}">{words}</div>'
