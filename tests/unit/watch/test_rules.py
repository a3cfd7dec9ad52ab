"""What raises an alert, when, and how often."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from gateway.audit.record import AuditRecord, Who
from gateway.watch.rules import (
    KINDS,
    KNOWN_ALERTS,
    RAISED,
    WINDOW,
    Alert,
    Thresholds,
    alerts_in,
    all_rules,
    caller_of,
)
from tests.factories_audit import NOON, a_record, a_who, any_record

FEW = Thresholds(not_found=3, patients=3)
SECOND = timedelta(seconds=1)


def _alerts(*records: AuditRecord) -> list[Alert]:
    return list(alerts_in(records, all_rules(FEW)))


def _nobody(n: int, **changes: Any) -> AuditRecord:
    known = {"patient": None, "resources": (), "released": (), "recorded": NOON + n * SECOND}
    return a_record(**{**known, **changes})


def _seen(n: int, patient: str, **changes: Any) -> AuditRecord:
    return a_record(**{"patient": patient, "recorded": NOON + n * SECOND, **changes})


def test_looking_for_many_whom_nobody_knows_is_guessing() -> None:
    """The third within ten minutes, told once; of another caller, or spread over time, it is none."""
    (alert,) = _alerts(*(_nobody(n) for n in range(8)))

    assert (alert.kind, alert.count, alert.caller, alert.patient) == ("identifier-guessing", 3, "ehr 1234567893", None)
    assert _alerts(*(_nobody(n, who=a_who(client_id=f"ehr-{n}")) for n in range(8))) == []
    assert _alerts(*(_nobody(n * 400) for n in range(8))) == []
    assert _alerts(*(_nobody(n, outcome="failed") for n in range(8))) == []
    assert len(_alerts(*(_nobody(n * 120) for n in range(20)))) > 1, "told again after its window"


def test_seeing_very_many_patients_in_an_hour_is_one_alert_of_that_person() -> None:
    """A system that asks for itself, a patient about themselves, and answers without anything are none."""
    (alert,) = _alerts(*(_seen(n, f"p{n}") for n in range(8)))

    assert (alert.kind, alert.count) == ("many-patients", 3)
    assert _alerts(*(_seen(n, "p1") for n in range(8))) == []
    system = a_who(subject_id=None, subject_name=None, subject_role=None)
    assert _alerts(*(_seen(n, f"p{n}", who=system) for n in range(8))) == []
    assert _alerts(*(_seen(n, f"p{n}", who=a_who(subject_id=None, subject=f"Patient/p{n}")) for n in range(8))) == []
    assert _alerts(*(_seen(n, f"p{n}", released=(), resources=()) for n in range(8))) == []
    assert _alerts(*(_seen(n, f"p{n}", kind="audit-read") for n in range(8))) == [], "an auditor at work"
    assert _alerts(*(_seen(n * 3000, f"p{n}") for n in range(8))) == []


def test_each_break_glass_is_an_alert_and_further_tokens_of_one_are_none() -> None:
    """Who, for whom, and which declaration; never the reason, which may speak of the patient."""
    facts = (("break_glass_reason", "unconscious"), ("declaration", "d1"), ("declared", "anew"))
    known = {"kind": "token-issued", "who": a_who(purposes=("BTG",)), "released": (), "decided": (), "asked": ()}
    (alert,) = _alerts(
        a_record(**known, details=facts), a_record(**known, details=(*facts[:2], ("declared", "before")))
    )

    assert (alert.kind, alert.about, alert.patient) == ("break-glass", "d1", a_record().patient)
    assert "unconscious" not in str(alert)


@pytest.mark.parametrize(("words", "kind"), KNOWN_ALERTS)
def test_what_a_room_found_amiss_is_told_once_an_hour(words: str, kind: str) -> None:
    """The same about the same one; about another it is another."""
    known = {"kind": "alert", "who": Who(), "reason": f"{words} …", "released": ()}
    alerts = _alerts(
        a_record(**known, details=(("about", "north"),)),
        a_record(**known, details=(("about", "north"),)),
        a_record(**known, details=(("about", "south"),)),
        a_record(**known, details=(("about", "north"),), recorded=NOON + WINDOW * 2),
    )

    assert [(one.kind, one.about) for one in alerts] == [(kind, "north"), (kind, "south"), (kind, "north")]


def test_the_record_of_an_alert_raised_by_a_rule_raises_no_further_one() -> None:
    """Else each would raise the next."""
    assert _alerts(a_record(kind="alert", reason="many-patients", details=(RAISED,))) == []


@settings(max_examples=40)
@given(any_record)
def test_whatever_is_recorded_the_rules_hold_and_name_nobody_but_by_ids(record: AuditRecord) -> None:
    """However often it comes, each alert has a section of the runbook, and says neither names nor requests."""
    for alert in alerts_in([record] * 4, all_rules(FEW)):
        assert alert.kind in KINDS
        assert (alert.record, alert.caller, alert.patient) == (record.id, caller_of(record), alert.patient)


def test_each_kind_of_notice_has_its_section_of_the_runbook() -> None:
    """And the runbook no other."""
    runbook = (Path(__file__).parents[3] / "deploy" / "runbook.md").read_text()

    assert sorted(re.findall(r"^### (.*)$", runbook, flags=re.MULTILINE)) == sorted(set(KINDS))
