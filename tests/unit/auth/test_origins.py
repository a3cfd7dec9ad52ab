"""An origin is read from a URL as browsers write it, and is an app's while the app is enabled."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from gateway.auth.clients import FRESH_S, Client
from gateway.auth.origins import AppOrigins
from gateway.errors import DependencyUnavailable
from gateway.web_origin import origin_of
from tests.factories_auth import FakeClientStore, FakeClock, a_client


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://app.example/callback?x=1#y", "https://app.example"),
        ("https://App.Example:443/cb", "https://app.example"),
        ("https://app.example:8443/cb", "https://app.example:8443"),
        ("http://localhost:3000/cb", "http://localhost:3000"),
        ("http://127.0.0.1/cb", "http://127.0.0.1"),
        ("http://[::1]:80/cb", "http://[::1]"),
        ("http://app.example/cb", None),
        ("myapp://callback", None),
        ("null", None),
        ("*", None),
        ("https://app.example@evil.example/", None),
        ("https://app.example\\@evil.example/", None),
        ("https://app.example:99999/", None),
        ("https://äpp.example/", None),
        ("", None),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str | None) -> None:
    """Default ports are left out, case is folded; what is neither https nor of this machine has none."""
    assert origin_of(url) == origin


def test_origins_are_those_of_enabled_apps_and_change_within_a_second() -> None:
    """Disabling the app takes its origin away; what a setting names stays."""
    clock = FakeClock()
    store = FakeClientStore(
        a_client(id="app", kind="app", redirect_uris=("https://app.example/cb", "myapp://cb")), a_client(id="ehr")
    )
    origins = AppOrigins(store.list_all, ["https://viewer.example"], monotonic=clock)

    assert "https://app.example" in origins
    assert "https://viewer.example" in origins
    for stranger in ("null", "", "https://app.example.evil.com", "https://APP.example", "http://app.example", None):
        assert stranger not in origins

    store.disable("app", datetime.now(UTC))
    clock.now += FRESH_S
    assert ("https://app.example" in origins, "https://viewer.example" in origins) == (False, True)


def test_a_store_that_fails_names_nobody() -> None:
    """An app's origin is then not known; the refusal is told as our own failure."""

    def fails() -> Sequence[Client]:
        raise DependencyUnavailable("away")

    with pytest.raises(DependencyUnavailable):
        assert "https://app.example" in AppOrigins(fails)
