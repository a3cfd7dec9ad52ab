"""RFC 6238 as the authenticator apps have it: which code counts when."""

from base64 import b32encode
from datetime import UTC, datetime

import pyotp
import pytest

from gateway.auth import totp

RFC_SECRET = b32encode(b"12345678901234567890").decode()
VECTORS = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}
"""RFC 6238 appendix B, SHA-1; six digits are the last six of the eight."""


@pytest.mark.parametrize(("moment", "code"), VECTORS.items())
def test_t147_the_vectors_of_the_standard_hold(moment: int, code: str) -> None:
    """The code of each moment is that of its time step."""
    assert totp.step_of(RFC_SECRET, code[-6:], datetime.fromtimestamp(moment, UTC)) == moment // 30


def test_t147_the_code_before_counts_and_no_other() -> None:
    """One step back for slow typing; none ahead, none older."""
    secret, now = totp.new_secret(), datetime(2026, 3, 2, 9, 0, 10, tzinfo=UTC)
    step = int(now.timestamp()) // 30
    codes = {back: pyotp.HOTP(secret).at(step - back) for back in (-1, 0, 1, 2)}

    assert [totp.step_of(secret, codes[back], now) for back in (0, 1)] == [step, step - 1]
    for back in (-1, 2):
        if codes[back] not in (codes[0], codes[1]):
            assert totp.step_of(secret, codes[back], now) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "１２３４５６", "-12345", "12 34", "0x1234"])
def test_t147_what_is_not_six_digits_is_no_code(code: str) -> None:
    """Shorter, longer, other characters, digits of other scripts."""
    assert totp.step_of(RFC_SECRET, code, datetime(2026, 3, 2, tzinfo=UTC)) is None


def test_a_secret_is_long_enough_and_its_picture_says_what_it_is_for() -> None:
    """160 bits (RFC 4226 §4); the app shows the login and the exchange."""
    secret = totp.new_secret()
    uri = totp.uri_of(secret, "ann", "Imaging exchange")

    assert len(secret) == 32
    assert uri.startswith("otpauth://totp/Imaging%20exchange:ann?")
    code, now = pyotp.HOTP(secret).at(59_000_000), datetime.fromtimestamp(59_000_000 * 30, UTC)
    assert totp.step_of(secret, f"{code[:3]} {code[3:]}", now) == 59_000_000
