"""Nobody is led off the site by a link to the sign-in page."""

import pytest

from gateway.signin.own_path import own_path

HOME = "/home"


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "x", "//evil", "//evil.example/x", "/\\evil", "\\\\evil", "/\\/evil", "https:evil", "https://evil"),
        *("javascript:alert(1)", "%2f%2fevil", "/\tevil", "/\n/evil", "/ evil", "/e\u0000vil", "/é", " /x", "///evil"),
        *("http:/evil", "/" + "x" * 6100, "data:text/html,x", "/%0d%0aSet-Cookie:x=1\r\n"),
    ],
)
def test_t122_whatever_leads_elsewhere_leads_home(text: str | None) -> None:
    """Another host in any spelling, another scheme, control characters, and what isn't a path at all."""
    assert own_path(text, HOME) == HOME


@pytest.mark.parametrize(
    "text", ["/", "/portal", "/oauth/authorize?response_type=code&redirect_uri=https%3A%2F%2Fapp", "/%2f%2fevil"]
)
def test_t122_a_path_of_ours_is_kept(text: str) -> None:
    """With its query; an encoded slash is a character of the path, and stays on the site."""
    assert own_path(text, HOME) == text
