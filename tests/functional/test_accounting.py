"""The accounting of disclosures against what a suite of queries did disclose, by route and by command line (T92)."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.factories_consent import authored_by
from tests.functional.small_exchange import SmallExchange, hold_study, identifier, resources, uid_of

FORMULA = '=HYPERLINK("https://evil.example","a")'
AUDITOR = "system/AuditEvent.rs"


@dataclass
class Suite:
    """The exchange, and what its queries were answered with, as the caller saw it."""

    exchange: SmallExchange
    disclosed: list[tuple[str, dict[str, set[str]]]] = field(default_factory=list)

    def ask(self, name: str, who: str, *, token: str = "", **params: str) -> None:
        """A query of `who`; what came is noted where something came."""
        query = {"patient.identifier": identifier(name, "north"), **params}
        answer = self.exchange.get("/ImagingStudy", query, token=token)
        answer.raise_for_status()
        by_facility: dict[str, set[str]] = {}
        for study in resources(answer.json()):
            for endpoint in study["endpoint"]:
                by_facility.setdefault(endpoint["reference"].partition("/")[2], set()).add(uid_of(study))
        if by_facility and name == "a":
            self.disclosed.append((who, by_facility))


@pytest.fixture(scope="module")
def suite() -> Iterator[Suite]:
    """`a` has studies in three facilities, of which south is a Part 2 programme and west is withheld."""
    exchange = SmallExchange()
    for n, facility in enumerate(("north", "south", "west"), 1):
        archive = exchange.add_archive(facility, part2=facility == "south")
        for name in ("a", "b"):
            hold_study(archive, name, f"2.25.{n}{1 if name == 'a' else 2}", date=f"2024010{n}")
            hold_study(archive, name, f"2.25.9{n}{1 if name == 'a' else 2}", date=f"2024020{n}")
    for name in ("a", "b"):
        exchange.add_person(name, "north", "south", "west")
    named = [authored_by("north"), authored_by("south")]  # who consents to a programme's disclosure names it
    exchange.file_consent("a", {"type": "permit", "data": named})
    made = Suite(exchange.start())
    b2b = {"version": "1", "organization_id": "north", "subject_id": "7", "subject_name": FORMULA, "subject_role": "MD"}
    doctor = exchange.signed_token(b2b=b2b)
    made.ask("a", "")
    made.ask("b", "")
    made.ask("a", f"{FORMULA} (MD)", token=doctor, started="ge2024-02-01")
    made.ask("a", "", modality="US")
    made.ask("a", "", _count="1")
    yield made
    exchange.stop()


@pytest.fixture(scope="module")
def patient(suite: Suite) -> str:
    """The id of `a`."""
    return suite.exchange.person_id("a", "north")


def _accounting(suite: Suite, patient: str, token: str, **params: str) -> dict[str, Any]:
    answer = suite.exchange.get(f"/Patient/{patient}/$accounting", params, token=token)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _as_noted(told: dict[str, Any]) -> list[tuple[str, dict[str, set[str]]]]:
    return [
        (one["recipient"]["person"], {given["facility"]: set(given["uids"]) for given in one["studies"]})
        for one in told["disclosures"]
    ]


def test_t092_the_accounting_is_what_was_disclosed_no_more_and_no_less(suite: Suite, patient: str) -> None:
    """Each answer with its date, recipient, purpose, studies by facility, and the consent that was relied on."""
    told = _accounting(suite, patient, suite.exchange.signed_token(scope=AUDITOR))

    assert len(suite.disclosed) == 3
    assert _as_noted(told) == suite.disclosed
    for one in told["disclosures"]:
        assert one["date"].startswith("20")
        assert one["given"] == "links"
        assert one["recipient"]["application"] == "Lakeside EHR"
        assert one["recipient"]["address"] == "127.0.0.1"
        assert one["purpose"] == [{"code": "TREAT", "display": "treatment"}]
        assert all(given["basis"] == ["Consent/c-a/_history/1"] for given in one["studies"])
        assert all("west" not in given["facility"] for given in one["studies"])
    assert told["from"][:4] == str(int(told["to"][:4]) - 6)


def test_t092_the_part_2_list_is_of_part_2_facilities_and_three_years(suite: Suite, patient: str) -> None:
    """Nothing of other facilities; as far back as 42 CFR 2.24 says."""
    told = _accounting(suite, patient, suite.exchange.signed_token(scope=AUDITOR), kind="part2")

    expected = [(who, {"south": given["south"]}) for who, given in suite.disclosed if "south" in given]
    assert _as_noted(told) == expected
    assert told["from"][:4] == str(int(told["to"][:4]) - 3)


def test_t092_no_cell_of_the_csv_is_a_formula(suite: Suite, patient: str) -> None:
    """A clinician who is called `=HYPERLINK(…)` is text; the lines are those of the JSON."""
    token = suite.exchange.signed_token(scope=AUDITOR)
    answer = suite.exchange.get(f"/Patient/{patient}/$accounting", token=token, headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))

    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert [row["person"] for row in rows].count(f"'{FORMULA} (MD)") == 2
    told = [(row["facility"], set(row["studies"].split())) for row in rows]
    assert told == [pair for _, given in suite.disclosed for pair in given.items()]


def test_the_pdf_is_one_and_holds_nothing_active(suite: Suite, patient: str) -> None:
    """By Accept or by `_format`."""
    token = suite.exchange.signed_token(scope=AUDITOR)
    answer = suite.exchange.get(f"/Patient/{patient}/$accounting", {"_format": "pdf"}, token=token)

    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    assert b"/JavaScript" not in answer.content
    assert b"/URI" not in answer.content


def test_a_patient_has_their_own_and_nobody_elses(suite: Suite, patient: str) -> None:
    """403 for another's whether there is one or not; 403 without the scope; 404 for nobody; 405 for writing."""
    exchange = suite.exchange
    own = exchange.signed_token(patient=patient, scope="patient/AuditEvent.rs", sub=f"Patient/{patient}")
    assert _as_noted(_accounting(suite, patient, own)) == suite.disclosed
    other = exchange.person_id("b", "north")
    answers = [exchange.get(f"/Patient/{one}/$accounting", token=own) for one in (other, "nobody")]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].content == answers[1].content
    assert exchange.get(f"/Patient/{patient}/$accounting").status_code == 403
    auditor = exchange.signed_token(scope=AUDITOR)
    assert exchange.get("/Patient/nobody/$accounting", token=auditor).status_code == 404
    assert exchange.request("POST", f"/Patient/{patient}/$accounting", token=auditor).status_code == 405
    assert exchange.get(f"/Patient/{patient}/$accounting", {"kind": "x"}, token=auditor).status_code == 400
    assert exchange.get(f"/Patient/{patient}/$accounting", {"start": "ge2024"}, token=auditor).status_code == 400
    xml = {"Accept": "application/fhir+xml"}
    assert exchange.get(f"/Patient/{patient}/$accounting", token=auditor, headers=xml).status_code == 406


def test_the_command_line_tells_the_same_and_that_it_was_asked_is_in_the_audit(suite: Suite, patient: str) -> None:
    """JSON, CSV into a file that is the owner's alone, a span without disclosures, nobody."""
    gateway = suite.exchange.gateway
    told = gateway.run_json("audit", "accounting", identifier("a", "south"))
    assert _as_noted(told) == suite.disclosed
    file = gateway.folder / "a.csv"
    gateway.run("audit", "accounting", patient, "--format", "csv", "--output", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(list(csv.reader(io.StringIO(file.read_text())))) == 1 + sum(len(given) for _, given in suite.disclosed)
    none = json.loads(gateway.run("audit", "accounting", patient, "--from", "2001-01-01", "--to", "2001-12-31").stdout)
    assert none["disclosures"] == []
    assert "nobody is known" in gateway.run("audit", "accounting", "nobody", expect=1).stderr
    asked = [one for one in suite.exchange.audit() if one.get("reason") == "audit accounting"]
    assert len(asked) == 3
    assert all(one["patient"] == patient for one in asked)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("end=0001-01-01", "no 6 years before"),
        ("kind=part2&end=0002", "no 3 years before"),
        ("start=2025-12-31&end=2025-01-01", "ends before it begins"),
        ("start=9999-12-31", "begins in the future"),
        ("kind=hipaa&kind=part2", "kind is given once"),
        ("start=2025-01-01&start=2024-01-01", "start is given once"),
        ("_format=csv&_format=pdf", "_format is given once"),
    ],
)
def test_what_would_read_as_if_nothing_was_disclosed_is_refused(
    suite: Suite, patient: str, query: str, reason: str
) -> None:
    """400 with the reason, by route."""
    token = suite.exchange.signed_token(scope=AUDITOR)
    answer = suite.exchange.get(f"/Patient/{patient}/$accounting?{query}", token=token)

    assert answer.status_code == 400
    assert reason in answer.text


@pytest.mark.parametrize(
    "arguments",
    [
        ("accounting", "PATIENT", "--from", "2025-12-31", "--to", "2025-01-01"),
        ("accounting", "PATIENT", "--from", "9999-12-31"),
        ("accounting", "PATIENT", "--to", "0001-01-01"),
        ("accounting", "PATIENT", "--to", "0001-01-01T00:00:00+05:00"),
        ("export", "--since", "2025-12-31", "--until", "2025-01-01"),
        ("export", "--since", "9999-12-31"),
    ],
)
def test_a_time_that_can_hold_nothing_is_a_wrong_usage_of_the_command(
    suite: Suite, patient: str, arguments: tuple[str, ...]
) -> None:
    """Exit 2 with a reason, and nothing on standard output."""
    given = [patient if one == "PATIENT" else one for one in arguments]
    done = suite.exchange.gateway.run("audit", *given, expect=2)

    assert done.stdout == ""
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_last_day_of_the_calendar_has_an_end(suite: Suite, patient: str) -> None:
    """Whoever writes 9999-12-31 for "always" is answered."""
    told = suite.exchange.gateway.run_json("audit", "accounting", patient, "--from", "2020-01-01", "--to", "9999-12-31")

    assert _as_noted(told) == suite.disclosed


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("audit accounting PATIENT --format pdf --output /nope/x.pdf", "/nope/x.pdf: No such file"),
        ("audit accounting PATIENT --format pdf > /dev/full", "No space left"),
        ("audit accounting PATIENT > /dev/full", "No space left"),
        ("audit export > /dev/full", "No space left"),
    ],
)
def test_what_can_not_be_written_ends_the_command_with_one_line_that_says_why(
    suite: Suite, patient: str, command: str, reason: str
) -> None:
    """A folder that isn't there, a disk that is full: exit 1, no traceback."""
    gateway = suite.exchange.gateway
    line = f"{sys.executable} -m gateway {command.replace('PATIENT', patient)}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=gateway.folder, env=gateway.env, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert reason in done.stderr
