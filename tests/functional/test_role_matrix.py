"""T151: every route against every caller, as `docs/reference/roles.md` has it; without a row the build fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.app_exchange import serving_apps
from tests.functional.role_matrix import CALLERS, REFUSALS, WITH_EVERYTHING, Everybody, as_page, page_rows, routes_of

WORDS = {"yes", "401", "403", "sign in"}


@pytest.fixture(scope="module")
def everybody(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keys_file: Path
) -> Iterator[Everybody]:
    """One caller of each kind."""
    folder = tmp_path_factory.mktemp("roles")
    with serving_apps(folder, migrated_sqlite_file, keys_file, WITH_EVERYTHING) as exchange:
        yield Everybody(exchange)


def test_t151_every_route_stands_on_the_page_once_and_no_other_does(everybody: Everybody) -> None:
    """A new route says who may use it before it is served; a route that is gone is gone from the page."""
    served, told = set(routes_of(everybody.exchange.app)), page_rows()

    missing = {
        (methods, rule): {caller: everybody.answer(caller, methods.split(", ")[0], rule) for caller in CALLERS}
        for methods, rule in served - set(told)
    }
    assert missing == {}, "\n".join(["without a row; as it is now:", *as_page(missing)])
    assert set(told) - served == set(), "rows of routes that are not served"
    assert {word for answers in told.values() for word in answers.values()} <= WORDS


def test_t151_every_caller_gets_at_every_route_what_the_page_says(everybody: Everybody) -> None:
    """By each method of it; signing out comes last."""
    differing = {}
    for (methods, rule), told in sorted(page_rows().items(), key=lambda row: row[0][1] == "/signout"):
        for caller in CALLERS:
            for method in methods.split(", "):
                answer = everybody.answer(caller, method, rule)
                if answer != told[caller]:
                    differing[f"{method} {rule} as {caller}"] = f"{answer}, not {told[caller]}"

    assert differing == {}


def test_t126_methods_that_a_path_has_not_are_refused_behind_the_same_door(everybody: Everybody) -> None:
    """405 to who may come in, 401 to who may not; HEAD is as GET, without a body; TRACE and OPTIONS do nothing."""
    exchange = everybody.exchange
    for rule in exchange.app.url_map.iter_rules():
        if not rule.endpoint.rpartition(".")[2].startswith(REFUSALS):
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            for caller in ("nobody", "client system", "auditor"):
                told = everybody.sent(caller, method, rule.rule)
                expected = {404, 405, 400} if caller == "client system" else {401}
                assert told.status_code in expected, (method, rule.rule, caller)
    for methods, rule in page_rows():
        if "GET" not in methods or "<" in rule:
            continue
        client = exchange.app.test_client()
        get, head = client.get(rule), client.head(rule)
        assert (head.status_code, head.data) == (get.status_code, b""), rule
        for method in ("TRACE", "OPTIONS"):
            told = client.open(rule, method=method)
            assert told.status_code in (401, 405), (method, rule)
            assert "TRACE" not in told.text
