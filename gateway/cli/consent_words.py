"""What a Consent says, in words that an operator reads aloud to a patient."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gateway.consent.period import FOREVER
from gateway.consent.policy import DataPeriod, Provision
from gateway.consent.store import StoredVersion
from gateway.consent.words import PURPOSE_WORDS
from gateway.model import ImplicitPolicy

POLICY_WORDS: dict[ImplicitPolicy, str] = {
    "basic-normal": "treatment is permitted, without break-glass, of what is not labelled sensitive",
    "all-normal": "every purpose is permitted, of what is not labelled sensitive",
    "break-glass-only": "nothing is permitted but a declared break-glass",
    "deny": "nothing is permitted",
}


def version_words(one: StoredVersion, now: datetime) -> Iterator[str]:
    """The version, whether it counts, and the rule that it states where it is the current one; a line each."""
    consent = one.consent
    recorded = f"{consent.recorded_at:%Y-%m-%d %H:%M} UTC"
    yield f"  Consent/{consent.id} version {consent.version}, recorded {recorded}: {state_of(one, now)}"
    if consent.root is not None and one.current:
        yield from (f"    {words}" for words in rule_words(consent.root))


def state_of(one: StoredVersion, now: datetime) -> str:
    """Whether the version counts now, and why not where it doesn't."""
    consent = one.consent
    if not one.current:
        return "superseded"
    if not consent.active:
        return str(one.resource.get("status"))
    root = consent.root
    if root is None:
        return "can't be evaluated, so it denies"
    if root.period_start is not None and now < root.period_start:
        return "not yet in force"
    return "expired" if root.period_end is not None and root.period_end <= now else "in force"


def rule_words(rule: Provision, lead: str = "") -> Iterator[str]:
    """What the rule says, and each exception from it; a line each."""
    parts = [lead + ("permits" if rule.type == "permit" else "denies")]
    parts.append(" and ".join(_data_words(rule)) or "everything")
    if rule.labels:
        parts.append("labelled " + " or ".join(rule.labels))
    if rule.data_period is not None:
        parts.append("made " + " ".join(_made_words(rule.data_period)))
    if rule.actors:
        parts.append("to " + " or ".join(rule.actors))
    if rule.purposes:
        parts.append("for " + " or ".join(PURPOSE_WORDS.get(code, code) for code in rule.purposes))
    if times := " ".join(_between(rule.period_start, rule.period_end)):
        parts.append(f"({times})")
    yield " ".join(parts)
    for nested in rule.nested:
        yield from rule_words(nested, "except that it ")


def _data_words(rule: Provision) -> Iterator[str]:
    if rule.authored_by is not None:
        yield "what " + " or ".join(rule.authored_by) + " holds"
    if rule.studies:
        yield f"{len(rule.studies)} named {'study' if len(rule.studies) == 1 else 'studies'}"


def _between(start: datetime | None, end: datetime | None) -> Iterator[str]:
    if start is not None:
        yield f"from {_moment(start)}"
    if end is not None and end != FOREVER:
        yield f"to the end of {_day(end - timedelta(days=1))} UTC" if _is_midnight(end) else f"until {_moment(end)}"


def _made_words(period: DataPeriod) -> Iterator[str]:
    """Limits without a time are days where the study was made, so that no zone is told."""
    if period.start is not None:
        yield f"from {_moment(period.start) if period.start_zoned else _day(period.start)}"
    if period.end is not None and period.end != FOREVER:
        yield f"until {_moment(period.end)}" if period.end_zoned else f"to {_day(period.end - timedelta(days=1))}"


def _is_midnight(moment: datetime) -> bool:
    return moment.astimezone(UTC).time() == datetime.min.time()


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def _moment(moment: datetime) -> str:
    return f"{_day(moment)} UTC" if _is_midnight(moment) else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
