"""What a consent decision costs in one process: python -m bench.consent [rounds]. The target: p50 under 50 us a study.

A patient with 20 provisions, of several kinds; an answer of 1, 10 and 100 studies from five facilities. Each figure is
a whole call of the decision, reading the consents for the caller included, by the number of studies in it.
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from gateway.consent.decide import decide_sources
from gateway.consent.labels import NORMAL, Labels, labels_with
from gateway.consent.policy import ConsentVersion, DataPeriod, PatientPolicy, Provision
from gateway.imaging.study import SourceStudy, Started
from gateway.model import ClientID, FacilityID, LocalPatientID, Moment, PatientID, Requester, StudyUID

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
A_DAY = timedelta(days=1)
PROVISIONS = 20
SIZES = (1, 10, 100)
TARGET_US = 50.0
ANNE = PatientID("00000000-0000-4000-8000-000000000001")
RESTRICTED = labels_with(None, ("PSY",))


def policies() -> Mapping[str, PatientPolicy]:
    """Patients with 20 provisions each, all of which have to be looked at."""
    many = range(PROVISIONS - 1)
    some_days = DataPeriod(start=NOW - 9 * A_DAY, end=NOW - 8 * A_DAY)
    kinds: dict[str, Sequence[Provision]] = {
        "other sources": [Provision(type="deny", authored_by=(FacilityID(f"other-{n}"),)) for n in many],
        "other recipients": [Provision(type="deny", actors=(f"Organization/other-{n}",)) for n in many],
        "labels": [Provision(type="deny", labels=("HIV", "SDV"), actors=("Organization/north",)) for _ in many],
        "single studies": [Provision(type="deny", studies=(f"9.9.{n}",)) for n in many],
        "all of it": [
            Provision(
                type="deny",
                purposes=("TREAT",),
                studies=(f"9.9.{n}",),
                authored_by=(FacilityID("south"),),
                labels=("HIV",),
                data_period=some_days,
                period_start=NOW - A_DAY,
            )
            for n in many
        ],
    }
    one = {
        name: (_consent(Provision(type="permit", purposes=("TREAT",), nested=tuple(nested))),)
        for name, nested in kinds.items()
    }
    each = tuple(_consent(rule, f"c{n}") for n, rule in enumerate([Provision(type="permit"), *kinds["all of it"]]))
    return {
        name: PatientPolicy(patient=ANNE, consents=consents, implicit="deny")
        for name, consents in {**one, "20 Consents": each}.items()
    }


def _consent(root: Provision, id_: str = "c") -> ConsentVersion:
    return ConsentVersion(id=id_, version=1, active=True, recorded_at=NOW - 99 * A_DAY, root=root)


def studies(count: int) -> tuple[list[SourceStudy], list[Labels]]:
    """So many, from five facilities, every tenth of them restricted."""
    found = [
        SourceStudy(
            uid=StudyUID(f"1.2.{n}"),
            facility=FacilityID(("north", "south", "east", "west", "centre")[n % 5]),
            local_id=LocalPatientID("1"),
            record_id=n % 5,
            started=Started(text="2026-03-01", moment=Moment(start=NOW - 30 * A_DAY, end=NOW - 29 * A_DAY)),
        )
        for n in range(count)
    ]
    return found, [NORMAL if n % 10 else RESTRICTED for n in range(count)]


def a_requester() -> Requester:
    """A clinician's EHR that asks for treatment."""
    return Requester(
        client_id=ClientID("ehr"),
        client_name="EHR",
        organization="north",
        scopes=("system/ImagingStudy.rs",),
        purposes=("TREAT",),
        issuer="https://gateway.example",
        subject="ehr",
        token_id="token",
        expires_at=NOW,
        subject_id="dr",
    )


def microseconds(work: Callable[[], object], rounds: int) -> list[float]:
    """How long it took the processor, each time: what else the machine does is no part of it."""
    took = []
    for _ in range(rounds):
        began = time.thread_time_ns()
        work()
        took.append((time.thread_time_ns() - began) / 1000)
    return took


def measure(rounds: int) -> list[dict[str, float | str]]:
    """A row for each kind of patient and size of answer: p50 and p99 of microseconds a study."""
    rows: list[dict[str, float | str]] = []
    who = a_requester()
    for name, policy in policies().items():
        for size in SIZES:
            told, labels = studies(size)
            took = microseconds(partial(decide_sources, policy, who, told, NOW, labels), max(50, rounds // size))
            cuts = statistics.quantiles((one / size for one in took), n=100)
            rows.append({"provisions": name, "studies": size, "p50_us": cuts[49], "p99_us": cuts[98]})
    return rows


def print_consent(rows: list[dict[str, float | str]]) -> None:
    """The table, and whether the target holds where an answer has several studies."""
    print(f"\nconsent decision, {PROVISIONS} provisions: microseconds a study (target: p50 under {TARGET_US:.0f})")
    print(f"{'provisions about':20}{'studies':>9}{'p50 us':>9}{'p99 us':>9}")
    for row in rows:
        print(f"{row['provisions']:20}{row['studies']:9}{row['p50_us']:9.1f}{row['p99_us']:9.1f}")


if __name__ == "__main__":
    print_consent(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
