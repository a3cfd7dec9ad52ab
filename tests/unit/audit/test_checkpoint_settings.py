"""Where checkpoints go is told by settings that are refused where they can't serve."""

from datetime import timedelta

import pytest

from gateway.config import Settings
from gateway.errors import ConfigurationError

GOOD = {
    "GATEWAY_AUDIT_CHECKPOINT_DIR": "/mnt/kept",
    "GATEWAY_AUDIT_CHECKPOINT_URLS": "https://north.example/checkpoints https://w1.example/add-checkpoint",
    "GATEWAY_AUDIT_CHECKPOINT_SYSLOG": "tls://logs.example:6514",
    "GATEWAY_AUDIT_CHECKPOINT_RECORDS": "500",
    "GATEWAY_AUDIT_CHECKPOINT_SECONDS": "5",
    "GATEWAY_AUDIT_RETENTION_YEARS": "10",
}


def test_places_outside_are_read() -> None:
    """All of them, and nothing goes anywhere unless it is said."""
    settings = Settings.from_env(GOOD)
    assert settings.audit_checkpoint_urls == (
        "https://north.example/checkpoints",
        "https://w1.example/add-checkpoint",
    )
    assert settings.audit_checkpoint_every == timedelta(seconds=5)
    assert settings.audit_retention_years == 10

    nothing = Settings.from_env({})
    assert (nothing.audit_checkpoint_dir, nothing.audit_checkpoint_urls, nothing.audit_checkpoint_syslog) == (
        None,
        (),
        "",
    )
    assert nothing.audit_retention_years == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("URLS", "north.example"),
        ("URLS", "ftp://north.example/"),
        ("URLS", "https://user:secret@north.example/"),
        ("URLS", "https://[::1"),
        ("URLS", "https://north.example/" + "x" * 500),
        ("SYSLOG", "logs.example:6514"),
        ("SYSLOG", "tls://logs.example"),
        ("SYSLOG", "tls://logs.example:0"),
        ("SYSLOG", "http://logs.example:80"),
        ("SYSLOG", "tcp://logs.example:601/path"),
        ("RECORDS", "0"),
        ("SECONDS", "0"),
    ],
)
def test_a_place_that_can_not_be_one_is_told_by_its_setting(name: str, value: str) -> None:
    """By name, and no secret is repeated."""
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_env({f"GATEWAY_AUDIT_CHECKPOINT_{name}": value})

    (problem,) = refused.value.problems
    assert problem.startswith(f"GATEWAY_AUDIT_CHECKPOINT_{name}")
    assert "secret" not in problem


def test_production_sends_nothing_in_clear() -> None:
    """A checkpoint is signed, but whoever stands between could hold it back and answer for the place."""
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_env(
            {"GATEWAY_ENVIRONMENT": "production", "GATEWAY_AUDIT_CHECKPOINT_URLS": "http://north.example/"}
        )

    assert any("GATEWAY_AUDIT_CHECKPOINT_URLS must be https" in problem for problem in refused.value.problems)
