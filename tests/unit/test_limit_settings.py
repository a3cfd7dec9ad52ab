"""The settings of limits and of trusted proxies, as an operator writes them."""

from pathlib import Path

import pytest

from gateway.config import Settings
from gateway.errors import ConfigurationError
from gateway.rates import DEFAULTS, Kind, Rate

PRODUCTION = {"GATEWAY_ENVIRONMENT": "production", "GATEWAY_BASE_URL": "https://exchange.example"}


def problems_of(env: dict[str, str]) -> tuple[str, ...]:
    """What is wrong with them."""
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_env(env)
    return refused.value.problems


def test_what_is_not_named_keeps_its_default() -> None:
    """Words change single limits; no proxy is trusted unless it is named."""
    assert Settings.from_env({}).rate_limits == DEFAULTS
    assert Settings.from_env({}).trusted_proxies == ()
    settings = Settings.from_env(
        {"GATEWAY_RATE_LIMITS": "identifiers=1000 requests=0", "GATEWAY_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8"}
    )
    assert settings.rate_limits == {**DEFAULTS, Kind.IDENTIFIERS: Rate(1000), Kind.REQUESTS: Rate(0)}
    assert [str(network) for network in settings.trusted_proxies] == ["127.0.0.1/32", "10.0.0.0/8"]


def test_what_cannot_be_read_is_told_by_its_name() -> None:
    """A misspelt limit must not pass for one."""
    (problem,) = problems_of({"GATEWAY_RATE_LIMITS": "identifier=5"})
    assert problem.startswith("GATEWAY_RATE_LIMITS must be kind=number words")
    (problem,) = problems_of({"GATEWAY_TRUSTED_PROXIES": "proxy.example"})
    assert problem.startswith("GATEWAY_TRUSTED_PROXIES must be addresses or networks")


def test_production_does_not_start_without_a_limit(tmp_path: Path) -> None:
    """0 is for development alone."""
    keys = tmp_path / "keys.json"
    keys.touch()
    env = {**PRODUCTION, "GATEWAY_KEYS_FILE": str(keys), "GATEWAY_RATE_LIMITS": "identifiers=0"}
    assert "GATEWAY_RATE_LIMITS: no limit may be 0 in production" in problems_of(env)
    assert Settings.from_env({**env, "GATEWAY_RATE_LIMITS": "identifiers=1"}).rate_limits[Kind.IDENTIFIERS] == Rate(1)
