"""Is every text in this Consent text, and its narrative XHTML that may be shown? Asked once, when it is filed. Pure.

FHIR R4 §datatypes string: no control characters beside tab and line breaks. FHIR R4 §narrative (txt-1): formatting,
links and images alone. What is filed in JSON can then be told in XML too, and neither form can smuggle an element,
a script or a request into whoever shows it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.parsers import expat

from gateway.errors import LoadRefused

XHTML = "http://www.w3.org/1999/xhtml"
_BETWEEN = "\x1f"
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_ELEMENTS = frozenset(
    (
        *("a", "abbr", "acronym", "b", "big", "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd"),
        *("dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "ol"),
        *("p", "pre", "q", "samp", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th"),
        *("thead", "tr", "tt", "ul", "var"),
    )
)
_ATTRIBUTES = frozenset(
    (
        *("abbr", "align", "alt", "axis", "border", "cellpadding", "cellspacing", "char", "charoff", "class", "cite"),
        *("colspan", "dir", "frame", "headers", "height", "href", "id", "lang", "name", "nowrap", "rowspan", "rules"),
        *("scope", "span", "src", "start", "style", "summary", "title", "type", "valign", "value", "width"),
        "http://www.w3.org/XML/1998/namespace\x1flang",
    )
)
_LINK = re.compile(r"(?:#|https?:|mailto:)", re.IGNORECASE)
_REMOTE_STYLE = re.compile(r"url\s*\(|expression|@import|\\", re.IGNORECASE)


def require_text(resource: Mapping[str, Any]) -> None:
    """Every text is text, and every narrative may be shown. Raises LoadRefused by path."""
    problems = list(_problems(resource, "Consent"))
    if problems:
        raise LoadRefused(problems)


def is_xhtml(div: str) -> bool:
    """Whether `div` is one well-formed `div` of the formatting that FHIR lets a narrative have."""
    reader = _NarrativeReader()
    parser = expat.ParserCreate(namespace_separator=_BETWEEN)
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = parser.ProcessingInstructionHandler = reader.refuse
    try:
        parser.Parse(div.encode(errors="surrogatepass"), True)
    except expat.ExpatError:
        return False
    return reader.may_be_shown


class _NarrativeReader:
    def __init__(self) -> None:
        self.may_be_shown = True
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(_BETWEEN)
        if space != XHTML or local not in _ELEMENTS or (self._depth == 0 and local != "div"):
            self.may_be_shown = False
        if not attributes.keys() <= _ATTRIBUTES or not all(_is_harmless(*one) for one in attributes.items()):
            self.may_be_shown = False
        self._depth += 1

    def end(self, _: str) -> None:
        self._depth -= 1

    def refuse(self, *_: object) -> None:
        self.may_be_shown = False


def _is_harmless(name: str, value: str) -> bool:
    if name in ("href", "src", "cite"):
        return _LINK.match(value.strip()) is not None
    return name != "style" or _REMOTE_STYLE.search(value) is None


def _problems(node: object, path: str) -> Iterator[str]:
    if isinstance(node, str):
        if _NO_TEXT.search(node):
            yield f"{path}: has a character that is not text"
        elif path.endswith(".text.div") and not is_xhtml(node):
            yield f"{path}: expected one XHTML div of formatting, links and images alone"
    elif isinstance(node, dict):
        for name, held in node.items():
            yield from _problems(held, f"{path}.{name}")
    elif isinstance(node, list):
        for index, held in enumerate(node):
            yield from _problems(held, f"{path}[{index}]")
