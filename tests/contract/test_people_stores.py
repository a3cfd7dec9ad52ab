"""Accounts, sessions, second factors, open questions and delegations, as both databases keep them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyotp
import pytest
from sqlalchemy import Engine, text

from gateway.audit.log import StoredAuditLog, open_audit_log
from gateway.audit.record import AuditRecord
from gateway.auth import totp
from gateway.auth.accounts import StoredAccounts
from gateway.auth.challenges import StoredChallenges
from gateway.auth.delegation_store import Granted, StoredDelegations
from gateway.auth.people import Account, Role
from gateway.auth.people_audit import people_record, who_is
from gateway.auth.second_factors import Passkey, StoredFactors
from gateway.auth.sessions import StoredSignIns
from gateway.db.crypto import KeyRing
from gateway.db.session import reading
from gateway.errors import AuditUnavailable, Conflict, LoadRefused
from gateway.model import PatientID
from gateway.mpi.resolve import PatientIndex
from tests import canary
from tests.factories_mpi import Index, a_patient

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)


@dataclass
class Stores:
    """All of them, on one database."""

    engine: Engine
    keys: KeyRing
    audit: StoredAuditLog

    @property
    def accounts(self) -> StoredAccounts:
        """The accounts."""
        return StoredAccounts(self.engine, self.keys, self.audit)

    @property
    def signins(self) -> StoredSignIns:
        """The sessions."""
        return StoredSignIns(self.engine, self.keys, idle=timedelta(minutes=15), longest=timedelta(hours=8))

    @property
    def factors(self) -> StoredFactors:
        """The second factors."""
        return StoredFactors(self.engine, self.keys, self.audit)

    @property
    def challenges(self) -> StoredChallenges:
        """The open questions."""
        return StoredChallenges(self.engine, self.keys)

    @property
    def delegations(self) -> StoredDelegations:
        """The delegations."""
        resolve = PatientIndex(self.engine, self.keys).resolve
        return StoredDelegations(self.engine, self.keys, self.audit, resolve, age=18, zone=ZoneInfo("Europe/Zurich"))

    def add(self, login: str = "ann", *roles: Role, **changes: Any) -> Account:
        """An account."""
        draft = Account(id="", login=login, name=f"{canary.FAMILY} {login}", roles=frozenset(roles), **changes)
        return self.accounts.add(draft, noted, NOW)


def noted(one: Account) -> AuditRecord:
    """What the audit is told."""
    return people_record("operator", who_is(one), NOW, "arranged")


@pytest.fixture
def stores(engine: Engine, keys: KeyRing) -> Any:
    """The stores on an empty database."""
    with open_audit_log(engine, keys) as audit:
        yield Stores(engine, keys, audit)


def _once(work: Callable[[int], bool], times: int = 8) -> int:
    with ThreadPoolExecutor(times) as pool:
        return sum(pool.map(work, range(times)))


def test_an_account_is_found_by_each_of_its_names_and_comes_back_whole(stores: Stores) -> None:
    """By id, by its login in any case, by the provider's name, by the person it is."""
    draft = Account(
        id="",
        login="Ann.Meyer",
        name="Ann Meyer",
        roles=frozenset((Role.PATIENT, Role.CLINICIAN)),
        patient=PatientID("p1"),
        subject_id="npi|7",
        subject_role="doctor",
    )
    made = stores.accounts.add(draft, noted, NOW, external=("https://idp.example", "sub-1"))

    assert stores.accounts.find(made.id) == made
    assert stores.accounts.find_login(" ann.MEYER ") == made
    assert stores.accounts.find_external("https://idp.example", "sub-1") == made
    assert list(stores.accounts.of_patient("p1")) == [made]
    assert stores.accounts.find_external("https://other.example", "sub-1") is None
    assert stores.accounts.find_login("ann") is None
    for taken in ({}, {"external": ("https://idp.example", "sub-1")}):
        other = draft if not taken else Account(id="", login="other", name="x", roles=frozenset())
        with pytest.raises(Conflict):
            stores.accounts.add(other, noted, NOW, **taken)


def test_a_change_keeps_the_rest_and_is_nothing_without_its_record(stores: Stores) -> None:
    """The password stays when the name changes; where the audit refuses, nothing has changed."""
    made = stores.add("ann", Role.PATIENT)
    stores.accounts.set_password(made.id, "$hash", noted, NOW)
    stores.accounts.change(made.id, {"name": "New"}, noted, NOW)
    found, hashed = stores.accounts.find_for_password("ann")
    assert (found and found.name, hashed) == ("New", "$hash")

    def refusing(_: Account) -> AuditRecord:
        raise AuditUnavailable("away")

    with pytest.raises(AuditUnavailable):
        stores.accounts.change(made.id, {"name": "Lost"}, refusing, NOW)
    assert stores.accounts.find(made.id) == found
    with pytest.raises(LoadRefused):
        stores.accounts.change("nobody", {"name": "x"}, noted, NOW)


def test_t154_of_two_administrators_who_go_at_once_one_stays(stores: Stores) -> None:
    """Whichever way they go: there is always one."""
    admins = [stores.add(f"adm{number}", Role.HIE_ADMINISTRATOR) for number in range(2)]

    def go(number: int) -> bool:
        try:
            stores.accounts.disable(admins[number].id, noted, NOW)
        except Exception:  # noqa: BLE001  # refused, or the other one held the lock: both are "stays"
            return False
        return True

    assert _once(go, 2) <= 1
    assert any(one.enabled for one in stores.accounts.all())


def test_t124_a_session_is_found_by_its_cookie_until_it_ends(stores: Stores) -> None:
    """By no other value; not after its end, its idle time or its last hour; ending all spares the one that is named."""
    who = stores.add()
    one, two = (stores.signins.begin(who, ("pwd",), NOW, complete=True) for _ in range(2))
    found = stores.signins.find(one.cookie, SOON)
    assert found == one.sign_in
    assert stores.signins.find_step(one.cookie, SOON) is None
    for cookie in ("", "x", one.cookie + "x", one.cookie[:-1], "y" * 500):
        assert stores.signins.find(cookie, SOON) is None
    assert stores.signins.end_all(who.id, SOON, but=one.sign_in.id) == 1
    assert stores.signins.find(two.cookie, SOON) is None
    stores.signins.end(one.sign_in.id, SOON)
    assert stores.signins.find(one.cookie, SOON) is None


def test_t124_many_methods_fit_and_a_step_is_no_session(stores: Stores) -> None:
    """The longest list of methods that a provider may tell is kept whole; a step is found as a step alone."""
    methods = ("fed", "retina", "retina", "retina", "retina", "retina", "retina", "mfa")
    whole = stores.signins.begin(stores.add(), methods, NOW, complete=True)
    found = stores.signins.find(whole.cookie, NOW)
    assert found
    assert found.methods == methods
    step = stores.signins.begin(found.account, ("pwd",), NOW, complete=False)
    assert stores.signins.find(step.cookie, NOW) is None
    assert stores.signins.find_step(step.cookie, NOW) == step.sign_in
    assert stores.signins.find_step(step.cookie, NOW + timedelta(minutes=10)) is None


def test_t147_a_code_is_used_by_one_of_many_at_once(stores: Stores) -> None:
    """Eight at the same moment: one gets in; an older step counts no more; nor does it for another account."""
    who, other = stores.add("ann"), stores.add("ben")
    secret = totp.new_secret()
    stores.factors.add_totp(who.id, secret, name="Phone", used_step=0, record=noted(who), now=NOW)
    step = int(NOW.timestamp()) // 30
    code, before = pyotp.HOTP(secret).at(step), pyotp.HOTP(secret).at(step - 1)
    assert not stores.factors.use_totp(other.id, code, NOW)
    assert _once(lambda _: stores.factors.use_totp(who.id, code, NOW)) == 1
    assert not stores.factors.use_totp(who.id, before, NOW)


def test_t148_a_recovery_code_is_used_by_one_of_many_at_once(stores: Stores) -> None:
    """And by nobody once new ones are made."""
    who = stores.add()
    first, second, *_ = stores.factors.new_recovery_codes(who.id, noted(who), NOW)
    assert _once(lambda _: stores.factors.use_recovery_code(who.id, first, NOW)) == 1
    stores.factors.new_recovery_codes(who.id, noted(who), NOW)
    assert not stores.factors.use_recovery_code(who.id, second, NOW)
    assert not stores.factors.has_any(who.id)


def test_t149_a_passkeys_count_only_rises_and_a_removed_one_can_be_made_again(stores: Stores) -> None:
    """Of two uses with one count, one is refused; zero stays zero; a passkey is one account's at a time."""
    who, other = stores.add("ann"), stores.add("ben")
    made = Passkey(id="", account_id=who.id, credential_id=b"c", public_key=b"k", sign_count=4, transports=("usb",))
    stores.factors.add_passkey(who.id, made, name="Key", record=noted(who), now=NOW)
    found = stores.factors.find_passkey(b"c")
    assert found
    assert (found.account_id, found.public_key, found.sign_count) == (who.id, b"k", 4)
    assert _once(lambda _: stores.factors.use_passkey(found, 5, NOW)) == 1
    assert not stores.factors.use_passkey(found, 5, NOW)
    assert not stores.factors.use_passkey(found, 0, NOW)
    with pytest.raises(Conflict):
        stores.factors.add_passkey(other.id, made, name="Key", record=noted(other), now=NOW)
    stores.factors.remove(who.id, found.id, noted(who), NOW)
    assert stores.factors.find_passkey(b"c") is None
    stores.factors.add_passkey(other.id, made, name="Key", record=noted(other), now=NOW)
    with pytest.raises(LoadRefused):
        stores.factors.remove(who.id, found.id, noted(who), NOW)


def test_a_question_is_answered_by_one_of_many_at_once_and_in_its_time(stores: Stores) -> None:
    """Not under another name, for another purpose, or too late."""
    ask = stores.challenges.ask
    ask("provider", "state", "browser", now=NOW, until=SOON, content={"nonce": "n"})
    assert stores.challenges.take("provider", "state", "another", now=NOW) is None
    assert stores.challenges.take("passkey", "state", "browser", now=NOW) is None
    found = stores.challenges.find("provider", "state", "browser", now=NOW)
    assert found
    assert found.content == {"nonce": "n"}
    taken = _once(lambda _: stores.challenges.take("provider", "state", "browser", now=NOW) is not None)
    assert taken == 1
    ask("totp", "late", now=NOW, until=SOON)
    assert stores.challenges.take("totp", "late", now=SOON) is None


def test_t023_what_was_answered_is_remembered_and_can_be_put_back(stores: Stores) -> None:
    """Spent by one of many at once; known as spent until then, and open again for as long as it would have been."""
    codes, later = stores.challenges, SOON + timedelta(minutes=20)
    codes.ask("viewer", "code", now=NOW, until=SOON, content={"study": "s"})
    assert codes.spent("viewer", "code", now=NOW) is None
    assert _once(lambda _: codes.spend("viewer", "code", now=NOW, remembered=later) is not None) == 1
    assert codes.find("viewer", "code", now=NOW) is None
    used = codes.spent("viewer", "code", now=SOON)
    assert used
    assert (used.content, used.until) == ({"study": "s"}, later)
    assert codes.spent("viewer", "code", now=later) is None

    codes.put_back("viewer", "code", now=NOW, until=SOON)
    assert codes.spent("viewer", "code", now=NOW) is None
    assert codes.find("viewer", "code", now=SOON) is None
    assert codes.spend("viewer", "code", now=SOON, remembered=later) is None, "too late"
    assert codes.spend("viewer", "code", now=NOW, remembered=later) is not None


def _granted(account: Account, patient: PatientID, **changes: Any) -> Granted:
    known: dict[str, Any] = {
        "id": "",
        "account_id": account.id,
        "patient": patient,
        "basis": "guardian",
        "purpose": "FAMRQT",
        "proof": "court order 7",
        "granted_by": "tests",
        "granted_at": NOW,
        "until": NOW + timedelta(days=3650),
        "revoked_at": None,
    }
    return Granted(**(known | changes))


def test_t063_a_delegation_stands_until_it_ends_is_revoked_or_the_child_is_of_age(stores: Stores) -> None:
    """By the birth date that the index knows now; for a disabled account, never."""
    index = Index(stores.engine, stores.keys)
    index.save(a_patient("child", given=["Kim"], birthDate="2010-06-15"))
    child, maria = index.person("child"), stores.add("maria", Role.DELEGATE)
    stored = stores.delegations
    parent = stored.grant(_granted(maria, child, basis="parent"), noted(maria))
    birthday = datetime(2028, 6, 15, tzinfo=ZoneInfo("Europe/Zurich"))

    (one,) = stored.standing(maria.id, birthday - timedelta(seconds=1))
    assert (one.id, one.patient, one.purpose, one.until) == (parent.id, child, "FAMRQT", birthday)
    assert stored.standing(maria.id, birthday) == []
    assert stored.standing(maria.id, NOW - timedelta(seconds=1)) == []
    assert list(stored.acts_for(maria, NOW)) == [child]
    assert [held.id for held in stored.of_patient(child)] == [parent.id]

    guardian = stored.grant(_granted(maria, child, until=SOON), noted(maria))
    assert len(stored.standing(maria.id, NOW)) == 2
    assert [held.id for held in stored.standing(maria.id, SOON)] == [parent.id]
    assert stored.revoke(parent.id, noted(maria), NOW)
    assert not stored.revoke(parent.id, noted(maria), NOW)
    assert [held.id for held in stored.standing(maria.id, NOW)] == [guardian.id]
    stores.accounts.disable(maria.id, noted, NOW)
    assert stored.standing(maria.id, NOW) == []
    gone = stored.grant(_granted(stores.add("x"), PatientID("nobody")), noted(maria))
    assert stored.standing(gone.account_id, NOW) == []


def test_t155_nothing_that_names_a_person_or_opens_a_session_is_readable_in_the_database(stores: Stores) -> None:
    """Logins, names, subjects, secrets, cookies, codes, proofs: none is there in clear."""
    who = stores.accounts.add(
        Account(id="", login="plain-login", name=canary.FAMILY, roles=frozenset(), subject_id="npi|plain"),
        noted,
        NOW,
        external=("https://idp.example", "plain-subject"),
    )
    stores.accounts.set_password(who.id, "$argon2id$plain-hash", noted, NOW)
    secret, cookie = totp.new_secret(), stores.signins.begin(who, ("pwd",), NOW, complete=True).cookie
    stores.factors.add_totp(who.id, secret, name="plain-phone", used_step=0, record=noted(who), now=NOW)
    codes = stores.factors.new_recovery_codes(who.id, noted(who), NOW)
    stores.challenges.ask("password", "plain-word", now=NOW, until=SOON, account_id=who.id, content={"x": "plain-x"})
    stores.delegations.grant(_granted(who, PatientID("plain-patient"), proof="plain-proof"), noted(who))
    tables = ("account", "sign_in", "second_factor", "sign_in_challenge", "delegation")
    with reading(stores.engine) as connection:
        rows = [connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables]  # noqa: S608  # our names

    held = repr(rows)
    for word in ("plain", canary.FAMILY, secret, cookie, codes[0], codes[0].replace("-", ""), "court", "argon2"):
        assert word not in held, word
