"""Which passwords are taken, and what is kept of them."""

import pytest

from gateway.auth import passwords


@pytest.mark.parametrize(
    "password",
    [
        *("short", "elevenchars", "password1234", "Password123!", "123456789012", "aaaaaaaaaaaaa", "annabel.meyer"),
        *("Annabel.Meyer2026", "qwertyqwerty12", "hospital2026!", "a" * 300, "abcabcabcabcabc", "line\nbreak and more"),
    ],
)
def test_what_is_tried_first_is_refused_with_a_reason(password: str) -> None:
    """Too short, too long, the login, a name, a common word with digits behind."""
    assert passwords.problem_with(password, login="annabel.meyer", name="Annabel Meyer")


@pytest.mark.parametrize(
    "password", ["seven green herons", "Zürich im Regen, 1987", "kYp3-mmQ2-9vXe", "日本語のパスワードは長いのです"]
)
def test_length_is_enough(password: str) -> None:
    """No rule about kinds of characters (ASVS 5.0 6.2.5)."""
    assert passwords.problem_with(password, login="ann", name="Ann Meyer") is None


def test_only_the_password_itself_matches_however_it_was_composed() -> None:
    """An accent typed apart is the same letter; another password is not, and an account without a hash has none."""
    hashed = passwords.hash_of("caf\u00e9 au lait s'il vous plait")

    assert hashed.startswith("$argon2id$")
    assert passwords.matches(hashed, "cafe\u0301 au lait s'il vous plait")
    assert not passwords.matches(hashed, "cafe au lait s'il vous plait")
    assert not passwords.matches(None, "nobody has this password, and it opens nothing")
    assert not passwords.matches("no hash", "x")
    assert not passwords.is_outdated(hashed)
