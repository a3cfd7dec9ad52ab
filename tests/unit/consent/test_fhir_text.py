"""What may stand in the texts of a Consent: text, and narratives that may be shown (T76)."""

from typing import Any

import pytest

from gateway.consent.fhir_structure import require_structure
from gateway.consent.fhir_text import is_xhtml
from gateway.errors import LoadRefused
from tests.factories_consent import a_resource

OPEN = '<div xmlns="http://www.w3.org/1999/xhtml">'


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "words &amp; &#233;",
        "<p class='x' style='color: red'>Yes<br/></p><table border='1'><tr><td colspan='2'>x</td></tr></table>",
        "<a href='https://exchange.example/policy#1'>policy</a><a href='#p1'>1</a><a href='mailto:x@y.example'>x</a>",
        "<img src='#logo' alt='logo'/>",
        "<p xml:lang='de' lang='de'>Ja</p>",
    ],
)
def test_formatting_links_and_images_may_be_shown(inner: str) -> None:
    """FHIR R4 §narrative."""
    assert is_xhtml(f"{OPEN}{inner}</div>")


@pytest.mark.parametrize(
    "div",
    [
        "",
        "words",
        "<div>without its namespace</div>",
        f"{OPEN}<script>alert(1)</script></div>",
        f"{OPEN}<iframe src='https://x.example'/></div>",
        f"{OPEN}<p onclick='alert(1)'>x</p></div>",
        f"{OPEN}<a href='javascript:alert(1)'>x</a></div>",
        f"{OPEN}<a href=' JavaScript:alert(1)'>x</a></div>",
        f"{OPEN}<img src='data:text/html,x'/></div>",
        f"{OPEN}<p style='background: url(https://x.example/seen)'>x</p></div>",
        f"{OPEN}<p style='width: ex\\70ression(alert(1))'>x</p></div>",
        f"{OPEN}<form action='https://x.example'/></div>",
        f"{OPEN}<x:p xmlns:x='urn:x'/></div>",
        f"{OPEN}&nbsp;</div>",
        f"{OPEN}</div></text><status value='inactive'/>",
        f"{OPEN}</div>{OPEN}</div>",
        f"<!DOCTYPE div [<!ENTITY x 'y'>]>{OPEN}&x;</div>",
        f"<?go away?>{OPEN}</div>",
        '<p xmlns="http://www.w3.org/1999/xhtml"/>',
        f"{OPEN}\x01</div>",
        f"{OPEN}\ud800</div>",
    ],
)
def test_t076_what_runs_asks_or_breaks_out_may_not(div: str) -> None:
    """A Consent with such a narrative is refused by its path."""
    assert not is_xhtml(div)
    with pytest.raises(LoadRefused) as refused:
        require_structure(a_resource(text={"status": "generated", "div": div}))
    assert all(problem.startswith("Consent.text") for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"identifier": [{"value": "a\x01b"}]}, "Consent.identifier[0].value"),
        ({"policy": [{"uri": "urn:x", "authority": "https://x.example/\x00"}]}, "Consent.policy[0].authority"),
        ({"contained": [{"resourceType": "Group", "id": "g", "type": "person", "actual": True, "name": "\x0b"}]}, None),
    ],
)
def test_control_characters_are_no_text(changes: dict[str, Any], path: str | None) -> None:
    """XML couldn't hold them."""
    with pytest.raises(LoadRefused) as refused:
        require_structure(a_resource(**changes))
    assert refused.value.problems[0].startswith(path or "Consent.contained[0].name")


def test_line_breaks_and_every_script_are_text() -> None:
    """Nothing that people write is refused."""
    require_structure(a_resource(identifier=[{"value": "a\tb\nc 漢字 é 😀"}]))
