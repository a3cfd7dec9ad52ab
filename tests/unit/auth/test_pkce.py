"""PKCE by S256 (RFC 7636)."""

import pytest

from gateway.auth.pkce import proves

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_standards_own_example_holds() -> None:
    """RFC 7636, appendix B."""
    assert proves(VERIFIER, CHALLENGE)


@pytest.mark.parametrize(
    "verifier", [None, "", CHALLENGE, VERIFIER[:-1], VERIFIER + "=", VERIFIER + "\n", "x" * 129, "ä" * 43]
)
def test_t022_nothing_else_does(verifier: str | None) -> None:
    """Missing, blank, the challenge itself, one character off, no verifier at all."""
    assert not proves(verifier, CHALLENGE)
