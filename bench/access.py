"""What a token costs at each request: ONLY=access make bench, or python -m bench.access.

Everything between the `Authorization` header and the decision that the token may search imaging, in a house as it is
served: signature, claims, registered client, what was revoked, the person behind the token where there is one, scope.
The signature of a token that was seen before is not verified again. The target: p50 of 150 µs, seen first or again.
"""

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gateway.auth import smart_scopes
from gateway.auth.client_store import DatabaseClientStore
from gateway.auth.people import Account, Role
from gateway.auth.people_audit import people_record, who_is
from gateway.config import Settings
from gateway.db.session import open_database
from gateway.model import PatientID
from gateway.wiring import House, build_house
from tests.factories_auth import a_client, an_access_token

TARGET_P50_US = 150.0
MOST_TOKENS = 2_000
"""Tokens that are made for being seen once: signing one takes longer than what is measured."""
_PERSON = PatientID("5e2f7a54-7c0b-4f6e-9b9e-0d6a2c1f4b11")


def measure(*, rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds of one check and decision, by whose token it is: by the clock (p50, p99) and of CPU."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env({"GATEWAY_DATA_DIR": folder, "GATEWAY_LISTEN": "127.0.0.1:8080"})
        house = build_house(settings)
        engine = open_database(f"sqlite:///{Path(folder) / 'gateway.db'}")
        try:
            now = datetime.now(UTC)
            DatabaseClientStore(engine).save(a_client(), now)
            account = house.people.accounts.add(
                Account(id="", login="pat", name="Pat", roles=frozenset((Role.PATIENT,)), patient=_PERSON),
                lambda one: people_record("operator", who_is(one), now, "bench"),
                now,
            )
            own = an_access_token(
                house.keys,
                sub=f"Patient/{_PERSON}",
                patient=_PERSON,
                scope="patient/ImagingStudy.rs",
                purposes=["PATRQT"],
                extensions=_extensions(account.id),
            )
            each_its_own = [an_access_token(house.keys) for _ in range(min(rounds, MOST_TOKENS))]
            return {
                "a token seen first": _measured(house, each_its_own),
                "a system's token": _measured(house, [an_access_token(house.keys)] * rounds),
                "a patient's app": _measured(house, [own] * rounds),
            }
        finally:
            engine.dispose()
            house.close()


def _extensions(account: str) -> dict[str, object]:
    purpose = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "PATRQT"}
    return {
        "ihe_iua": {"purpose_of_use": [purpose]},
        "hl7-b2b": {"version": "1", "organization_id": "north"},
        "app": {"account": account, "grant": "11111111-2222-4333-8444-555555555555"},
    }


def _measured(house: House, tokens: Sequence[str]) -> dict[str, float]:
    took = []
    headers = [[f"Bearer {token}"] for token in tokens]
    authenticate = house.oauth.bearer.authenticate
    cpu = time.process_time()
    for header in headers:
        began = time.perf_counter()
        _decide(authenticate(header, datetime.now(UTC)))
        took.append(time.perf_counter() - began)
    spent = (time.process_time() - cpu) / len(headers)
    marks = statistics.quantiles(took, n=100)
    return {"p50_us": marks[49] * 1e6, "p99_us": marks[98] * 1e6, "cpu_us": spent * 1e6}


def _decide(requester: object) -> None:
    scopes, patient = requester.scopes, requester.patient  # type: ignore[attr-defined]
    smart_scopes.require(scopes, "ImagingStudy", "s", patient_bound=patient is not None)


def print_access(figures: Mapping[str, Mapping[str, float]]) -> None:
    """The table."""
    print("\ntoken check and scope decision, SQLite")
    print(f"{'':24}{'p50 µs':>9}{'p99 µs':>9}{'CPU µs':>9}")
    for whose, f in figures.items():
        print(f"{whose:24}{f['p50_us']:9.0f}{f['p99_us']:9.0f}{f['cpu_us']:9.0f}")
    print(f"target: p50 {TARGET_P50_US:.0f} µs")


if __name__ == "__main__":
    print_access(measure(rounds=20_000))
