"""Grants, codes and refresh tokens in SQLite and in PostgreSQL: each used once, sealed, and ended together."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from gateway.audit.log import StoredAuditLog, open_audit_log
from gateway.audit.record import AuditRecord
from gateway.auth.app_grant_store import StoredGrants
from gateway.auth.app_grants import AppGrant, NewRefresh
from gateway.auth.app_tables import app_grant, revoked_token
from gateway.auth.revoked_tokens import RevokedTokens
from gateway.db.crypto import KeyRing
from gateway.db.session import open_database, reading
from gateway.errors import AuditUnavailable
from gateway.model import ClientID
from tests.factories_apps import NOW, TERMS, a_grant
from tests.factories_audit import a_record
from tests.factories_auth import FakeClock


@pytest.fixture
def audit(engine: Engine, keys: KeyRing) -> Any:
    """The audit beside it."""
    log = open_audit_log(engine, keys)
    yield log
    log.close()


@pytest.fixture
def grants(engine: Engine, keys: KeyRing, audit: StoredAuditLog) -> StoredGrants:
    """The store."""
    return StoredGrants(engine, keys, audit)


def noted() -> AuditRecord:
    """A record of its own for each change."""
    return a_record(kind="token-issued", id=str(uuid.uuid4()))


def a_code(grants: StoredGrants, code: str = "code", **changes: Any) -> AppGrant:
    """A grant, and a code for it."""
    grant = a_grant(**changes)
    grants.add(grant, code, TERMS, NOW + timedelta(seconds=60), noted())
    return grant


def test_what_is_stored_comes_back_as_it_was(grants: StoredGrants) -> None:
    """Every field of the grant and of the code's terms."""
    grant = a_code(grants, delegation="d-1", capacity="delegate")
    found = grants.find_code("code")
    assert found is not None
    assert (found.grant, found.terms, found.used_at) == (grant, TERMS, None)
    assert grants.find(grant.id) == grant
    assert grants.find_code("another") is None
    assert grants.find_refresh("code") is None


def test_a_code_is_used_once_and_its_refresh_token_takes_over(grants: StoredGrants, audit: StoredAuditLog) -> None:
    """The second use changes nothing and stores no audit of a token."""
    grant = a_code(grants)
    refresh = NewRefresh(value="refresh-1", until=NOW + timedelta(days=30))
    assert grants.use_code("code", refresh, noted(), NOW)
    assert not grants.use_code("code", replace(refresh, value="refresh-x"), noted(), NOW)
    assert grants.find_refresh("refresh-x") is None
    found = grants.find_refresh("refresh-1")
    assert found is not None
    assert (found.grant.id, found.used_at) == (grant.id, None)
    assert len(list(audit.read())) == 2


def _at_once(engine: Engine, keys: KeyRing, use: Callable[[StoredGrants, int], bool]) -> list[bool]:
    """What twenty callers in two processes' worth of connections get."""
    other = open_database(engine.url.render_as_string(hide_password=False))
    logs = [open_audit_log(one, keys) for one in (engine, other)]
    stores = [StoredGrants(one, keys, log) for one, log in zip((engine, other), logs, strict=True)]
    try:
        with ThreadPoolExecutor(20) as pool:
            return list(pool.map(lambda number: use(stores[number % 2], number), range(20)))
    finally:
        for log in logs:
            log.close()
        other.dispose()


def test_t023_of_twenty_at_once_exactly_one_uses_a_code(engine: Engine, keys: KeyRing, grants: StoredGrants) -> None:
    """Over two connection pools."""
    a_code(grants)
    until = NOW + timedelta(days=30)
    used = _at_once(
        engine,
        keys,
        lambda store, n: store.use_code("code", NewRefresh(value=f"r-{n}", until=until), noted(), NOW),
    )
    assert used.count(True) == 1


def test_t026_of_twenty_at_once_exactly_one_uses_a_refresh_token(
    engine: Engine, keys: KeyRing, grants: StoredGrants
) -> None:
    """And one takes its place."""
    a_code(grants)
    until = NOW + timedelta(days=30)
    grants.use_code("code", NewRefresh(value="first", until=until), noted(), NOW)
    used = _at_once(
        engine,
        keys,
        lambda store, n: store.use_refresh("first", NewRefresh(value=f"r-{n}", until=until), noted(), NOW),
    )
    assert used.count(True) == 1
    assert sum(grants.find_refresh(f"r-{n}") is not None for n in range(20)) == 1


def test_a_grant_that_was_revoked_gives_nothing_and_its_tokens_have_ended(
    engine: Engine, keys: KeyRing, audit: StoredAuditLog
) -> None:
    """Neither code nor refresh token can be used; the look-up of ended tokens knows at once where it was done."""
    revoked = RevokedTokens(engine, keys)
    grants = StoredGrants(engine, keys, audit, revoked.forget)
    grant = a_code(grants)
    assert not revoked.has_ended("jti", grant.id)
    assert grants.revoke(grant, noted(), NOW)
    assert not grants.revoke(grant, noted(), NOW)
    assert revoked.has_ended("jti", grant.id)
    assert not revoked.has_ended("jti", "another")
    assert not grants.use_code("code", None, noted(), NOW)
    found = grants.find_code("code")
    assert found is not None
    assert not found.grant.stands(NOW)
    assert grants.standing(NOW) == []


def test_t133_another_process_knows_of_an_end_within_a_second(
    engine: Engine, keys: KeyRing, grants: StoredGrants
) -> None:
    """Whatever it knew before; and asks no more than once a second."""
    clock = FakeClock()
    elsewhere = RevokedTokens(engine, keys, clock)
    assert not elsewhere.has_ended("jti-1", None)
    grants.revoke_token("jti-1", noted(), NOW)
    assert not elsewhere.has_ended("jti-1", None)
    clock.now += 1.01
    assert elsewhere.has_ended("jti-1", None)


def test_what_has_ended_is_forgotten_when_no_token_of_it_can_live(engine: Engine, grants: StoredGrants) -> None:
    """The look-up stays small."""
    grants.revoke_token("jti-1", noted(), NOW)
    grants.revoke_token("jti-2", noted(), NOW + timedelta(minutes=8))
    with reading(engine) as connection:
        assert len(connection.execute(select(revoked_token)).all()) == 1


def test_old_grants_are_forgotten_with_their_codes(engine: Engine, grants: StoredGrants) -> None:
    """A month after their end; newer ones stay."""
    a_code(grants, "old", until=NOW + timedelta(hours=1))
    kept = a_grant(granted_at=NOW + timedelta(days=60), until=NOW + timedelta(days=61))
    grants.add(kept, "new", TERMS, NOW + timedelta(days=60, seconds=60), noted())
    with reading(engine) as connection:
        assert [row.id for row in connection.execute(select(app_grant.c.id))] == [kept.id]


def test_nothing_is_granted_without_its_audit(engine: Engine, keys: KeyRing) -> None:
    """The audit can't be stored: no grant, no use, no end."""

    class Down:
        def record(self, records: object) -> None:
            raise AuditUnavailable("down")

        def record_within(self, connection: object, records: object) -> None:
            raise AuditUnavailable("down")

    grants = StoredGrants(engine, keys, Down())
    with pytest.raises(AuditUnavailable):
        a_code(grants)
    assert grants.find_code("code") is None


def test_grants_of_an_account_and_of_an_app_are_found(grants: StoredGrants) -> None:
    """What stands, oldest first; nothing of others."""
    first = a_code(grants, "c-1")
    second = a_code(grants, "c-2", granted_at=NOW + timedelta(seconds=1), client_id=ClientID("portal"))
    a_code(grants, "c-3", account_id="account-2")
    a_code(grants, "c-4", until=NOW)
    assert [one.id for one in grants.standing(NOW, account_id="account-1")] == [first.id, second.id]
    assert [one.id for one in grants.standing(NOW, client_id="portal")] == [second.id]


def test_t155_the_stored_row_names_nobody(engine: Engine, grants: StoredGrants) -> None:
    """Patient, account, name and address are sealed."""
    a_code(grants)
    with reading(engine) as connection:
        rows = [*connection.exec_driver_sql("SELECT * FROM app_grant").all()]
        rows += [*connection.exec_driver_sql("SELECT * FROM authorization_code").all()]
    stored = b"".join(bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for row in rows for v in row)
    for text in ("person-1", "account-1", "Pat", "app.example"):
        assert text.encode() not in stored
