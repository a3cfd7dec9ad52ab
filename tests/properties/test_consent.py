"""What holds of every consent decision, for any consents of a person and any caller."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.consent.decide import decide_data, decide_query, decide_sources, still_holds
from gateway.consent.labels import Labels
from gateway.consent.policy import ConsentVersion, DataPeriod, PatientPolicy, Provision
from gateway.consent.reach import Data
from gateway.imaging.study import SourceStudy
from gateway.model import FacilityID, ImplicitPolicy, LocalPatientID, Moment, PatientID, Requester, StudyUID
from tests.factories_consent import NOW, a_requester

FACILITIES = tuple(FacilityID(name) for name in ("north", "south", "west"))
PURPOSES = ("TREAT", "ETREAT", "BTG", "HPAYMT", "HMARKT", "HRESCH", "CLINTRCH")
ACTORS = ("Organization/north", "urn:oid:1.2.3", "Practitioner/dr", "Practitioner/nobody", "Group/er")
GROUPS = {"Group/er": frozenset(("Organization/south", "Practitioner/other"))}
POLICIES: tuple[ImplicitPolicy, ...] = ("basic-normal", "all-normal", "break-glass-only", "deny")
BELOW = {"TREAT": {"TREAT", "ETREAT", "BTG"}, "ETREAT": {"ETREAT", "BTG"}, "HRESCH": {"HRESCH", "CLINTRCH"}}

A_DAY = timedelta(days=1)
DAYS = tuple(datetime(2024, 3, day, tzinfo=UTC) for day in (1, 2, 3, 4))
DATA_PERIODS = tuple(
    DataPeriod(start=start, end=end, start_zoned=False, end_zoned=False)
    for start, end in ((DAYS[1], None), (None, DAYS[2]), (DAYS[1], DAYS[2]), (DAYS[3], None))
)
LABELS = (("N",), ("R",), ("N", "PSY"), ("PSY",), ("ETH",), ("ETHUD",), ("V",))
KINDS = (
    Labels(),
    Labels("R"),
    Labels("R", frozenset(("PSY",))),
    Labels("R", frozenset(("ETHUD",))),
    Labels("R", frozenset(("PSY", "ETHUD"))),
    Labels("R", frozenset(("ETHUD",)), part2=True),
)
STUDIES = tuple(
    Data(facility, labels, frozenset((uid,)), day and Moment(start=day, end=day + A_DAY))
    for facility in FACILITIES
    for index, labels in enumerate(KINDS)
    for uid, day in (("1.2.3", DAYS[index % 4]), ("1.2.4", (None, DAYS[1], DAYS[2])[index % 3]))
)
"""Every kind of study at every facility; three have no date."""

EXTRA = (ConsentVersion(id="extra", version=1, active=True, recorded_at=NOW, root=Provision(type="deny")),)
limits = st.sampled_from((None, NOW - timedelta(days=2), NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)))
kinds = st.sampled_from(("permit", "deny"))


def some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    """A few of the values, or none."""
    return st.lists(st.sampled_from(values), unique=True, max_size=2).map(tuple)


@st.composite
def rules(draw: st.DrawFn, kind: str | None = None, depth: int = 1) -> Provision:
    """A provision of any shape, with nested ones at the root."""
    return Provision(
        type=kind or draw(kinds),
        purposes=draw(some(PURPOSES)),
        actors=draw(some(ACTORS)),
        authored_by=draw(st.none() | some(FACILITIES)),  # type: ignore[arg-type]
        studies=draw(st.sampled_from(((), (), ("1.2.3",), ("1.2.4", "9.9")))),
        labels=draw(st.just(()) | st.sampled_from(LABELS)),
        data_period=draw(st.none() | st.sampled_from(DATA_PERIODS)),
        period_start=draw(limits),
        period_end=draw(limits),
        nested=tuple(draw(st.lists(rules_with_exceptions(), max_size=2))) if depth else (),
    )


@st.composite
def rules_with_exceptions(draw: st.DrawFn) -> Provision:
    """A nested provision, now and then with an exception that turns it round, for everybody (FHIR R5)."""
    rule = draw(rules(depth=0))
    if draw(st.integers(0, 3)):
        return rule
    exception = draw(rules(kind="deny" if rule.type == "permit" else "permit", depth=0))
    return replace(rule, nested=(replace(exception, actors=()),))


@st.composite
def versions(draw: st.DrawFn, kind: str | None = None) -> ConsentVersion:
    """A consent version, live or not, now and then one that can't be evaluated."""
    unevaluable = kind is None and draw(st.integers(0, 9)) == 0
    return ConsentVersion(
        id=draw(st.sampled_from(("a", "b", "c"))),
        version=draw(st.integers(1, 3)),
        active=draw(st.booleans()),
        recorded_at=NOW - timedelta(days=draw(st.integers(0, 5))),
        root=None if unevaluable else draw(rules(kind)),
        bases=draw(st.lists(st.sampled_from(POLICIES), max_size=1).map(tuple)),
    )


policies = st.builds(
    PatientPolicy,
    patient=st.just(PatientID("p1")),
    consents=st.lists(versions(), max_size=3).map(tuple),
    implicit=st.sampled_from(POLICIES),
    groups=st.just(GROUPS),
)
requesters = st.builds(
    a_requester,
    organization=st.sampled_from(("north", "south", "urn:oid:1.2.3")),
    subject_id=st.sampled_from((None, "Practitioner/dr", "dr", "other")),
    purposes=st.lists(st.sampled_from(PURPOSES), min_size=1, max_size=2, unique=True).map(tuple),
)


def asked(policy: PatientPolicy, requester: Requester) -> set[FacilityID]:
    """The facilities that may be asked for this caller."""
    return {id_ for id_, decision in decide_query(policy, requester, FACILITIES, NOW).items() if decision.permitted}


def shown(policy: PatientPolicy, requester: Requester) -> set[int]:
    """The studies that this caller may see, by their place in `STUDIES`; all of facilities that may be asked."""
    decisions = decide_data(policy, requester, STUDIES, NOW)
    found = {index for index, decision in enumerate(decisions) if decision.permitted}
    assert {STUDIES[index].facility for index in found} <= asked(policy, requester)
    return found


@given(policies, requesters, versions("deny"))
def test_t070_adding_a_deny_never_shows_more(policy: PatientPolicy, requester: Requester, deny: ConsentVersion) -> None:
    """A consent that only denies narrows what is shown, whatever else is on file."""
    assert deny.root is not None
    only_denies = replace(deny, root=replace(deny.root, nested=()))
    more = replace(policy, consents=(*policy.consents, only_denies))
    assert shown(more, requester) <= shown(policy, requester)


@given(policies, requesters, rules("deny", depth=0), st.data())
def test_t070_adding_a_nested_deny_never_shows_more(
    policy: PatientPolicy, requester: Requester, deny: Provision, data: st.DataObject
) -> None:
    """Under any root."""
    at = [index for index, consent in enumerate(policy.consents) if consent.root is not None]
    if not at:
        return
    index = data.draw(st.sampled_from(at))
    consents = list(policy.consents)
    root = consents[index].root
    assert root is not None
    consents[index] = replace(consents[index], root=replace(root, nested=(*root.nested, deny)))
    assert shown(replace(policy, consents=tuple(consents)), requester) <= shown(policy, requester)


@given(policies, requesters, versions("permit"))
def test_t070_removing_a_permit_never_shows_more(
    policy: PatientPolicy, requester: Requester, permit: ConsentVersion
) -> None:
    """Where the implicit policy doesn't come back in its place: it denies, or another permit stays on file."""
    stays = ConsentVersion(id="stays", version=1, active=True, recorded_at=NOW, root=Provision(type="permit"))
    for base in (replace(policy, implicit="deny"), replace(policy, consents=(*policy.consents, stays))):
        more = replace(base, consents=(*base.consents, permit))
        only_permits = permit.root is not None and all(rule.type == "permit" for rule in permit.root.nested)
        if only_permits:
            assert shown(base, requester) <= shown(more, requester)


@given(policies, requesters, st.data())
def test_t070_removing_a_nested_permit_never_shows_more(
    policy: PatientPolicy, requester: Requester, data: st.DataObject
) -> None:
    """Under any root."""
    at = [
        (index, rule)
        for index, consent in enumerate(policy.consents)
        for rule in (consent.root.nested if consent.root else ())
        if rule.type == "permit"
    ]
    if not at:
        return
    index, rule = data.draw(st.sampled_from(at))
    consents = list(policy.consents)
    root = consents[index].root
    assert root is not None
    rest = list(root.nested)
    rest.remove(rule)
    consents[index] = replace(consents[index], root=replace(root, nested=tuple(rest)))
    fewer = shown(replace(policy, consents=tuple(consents)), requester)
    assert fewer <= shown(policy, requester)


@given(policies, requesters, versions(), st.integers(0, 3))
def test_t043_a_consent_that_is_not_in_force_changes_nothing(
    policy: PatientPolicy, requester: Requester, version: ConsentVersion, place: int
) -> None:
    """Neither one that is not active nor one whose time is over, wherever it stands in the list."""
    over = replace(version, active=False)
    if version.root is not None:
        over = replace(version, active=True, root=replace(version.root, period_end=NOW))
    for gone in (replace(version, active=False), over):
        more = replace(policy, consents=(*policy.consents[:place], gone, *policy.consents[place:]))
        assert shown(more, requester) == shown(policy, requester)


@given(policies, requesters)
def test_the_order_of_consents_changes_nothing(policy: PatientPolicy, requester: Requester) -> None:
    """Which one is newer, older, first or last plays no part."""
    assert shown(replace(policy, consents=policy.consents[::-1]), requester) == shown(policy, requester)


@given(policies, requesters, st.sampled_from(PURPOSES))
def test_asking_for_more_purposes_never_shows_more(policy: PatientPolicy, requester: Requester, purpose: str) -> None:
    """Each purpose has to be permitted by itself (T62)."""
    more = replace(requester, purposes=(*requester.purposes, purpose))
    assert shown(policy, more) <= shown(policy, requester)


@given(policies, requesters)
def test_a_permit_says_since_when_and_never_from_the_future(policy: PatientPolicy, requester: Requester) -> None:
    """`opened_at` lies in the past, and is there whenever a consent permits."""
    asked_about = decide_query(policy, requester, FACILITIES, NOW).values()
    for decision in (*asked_about, *decide_data(policy, requester, STUDIES, NOW)):
        assert decision.reason
        if decision.permitted and decision.consents:
            assert decision.opened_at is not None
        assert decision.opened_at is None or (decision.permitted and decision.opened_at <= NOW)


@given(policies, requesters, st.sampled_from(KINDS))
def test_what_is_known_of_whole_facilities_changes_no_decision(
    policy: PatientPolicy, requester: Requester, floor: Labels
) -> None:
    """What was decided of a facility spares the decision about its studies only where it would be the same."""
    floors = dict.fromkeys(FACILITIES, floor)
    whole = decide_query(policy, requester, FACILITIES, NOW, floors)
    studies = [
        SourceStudy(StudyUID(uid), id_, LocalPatientID("1"), 1) for id_ in FACILITIES for uid in ("1.2.3", "1.9")
    ]
    known = {(id_, floor): decision for id_, decision in whole.items()}

    for labels in ([floor] * len(studies), [floor | KINDS[2]] * len(studies)):
        afresh = decide_sources(policy, requester, studies, NOW, labels)
        assert decide_sources(policy, requester, studies, NOW, labels, known=known) == afresh


@given(policies, requesters, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_what_still_holds_is_what_would_be_decided_now(
    policy: PatientPolicy, requester: Requester, later: timedelta
) -> None:
    """A decision is kept only where the same policy decides the same, to the reason."""
    then, now = NOW - A_DAY, NOW - A_DAY + later
    if still_holds(policy, then, policy, now):
        decided = [decide_query(policy, requester, FACILITIES, moment) for moment in (then, now)]
        assert decided[0] == decided[1]
    assert not still_holds(policy, then, replace(policy, consents=(*policy.consents, *policy.consents, *EXTRA)), now)


@given(policies, requesters)
def test_t070_the_decision_equals_the_standard_read_once_more(policy: PatientPolicy, requester: Requester) -> None:
    """A second evaluator, written from the rules' text alone, gives the same answer."""
    assert shown(policy, requester) == _shown_by_the_text(policy, requester)


def test_t070_ten_thousand_random_policies_are_decided_as_the_standard_reads() -> None:
    """The same without Hypothesis's care for small examples, and so many times over."""
    random = Random(70)
    permitted = 0
    for _ in range(10_000):
        policy = PatientPolicy(
            patient=PatientID("p1"),
            consents=tuple(_any_version(random) for _ in range(random.randrange(4))),
            implicit=random.choice(POLICIES),
            groups=GROUPS,
        )
        requester = a_requester(
            organization=random.choice(("north", "south", "urn:oid:1.2.3")),
            subject_id=random.choice((None, "Practitioner/dr", "dr", "other")),
            purposes=tuple(random.sample(PURPOSES, random.choice((1, 1, 2)))),
        )
        answer = shown(policy, requester)
        permitted += bool(answer)
        assert answer == _shown_by_the_text(policy, requester), (policy, requester)
    assert 1000 < permitted < 9000


def _any_version(random: Random) -> ConsentVersion:
    root = _any_rule(random, tuple(_any_nested(random) for _ in range(random.randrange(3))))
    return ConsentVersion(
        id=random.choice("abc"),
        version=random.randrange(1, 4),
        active=random.random() < 0.8,
        recorded_at=NOW - timedelta(days=random.randrange(6)),
        root=root if random.random() < 0.95 else None,
        bases=tuple(random.sample(POLICIES, random.choice((0, 0, 1)))),
    )


def _any_nested(random: Random) -> Provision:
    rule = _any_rule(random)
    if random.random() < 0.8:
        return rule
    exception = replace(_any_rule(random), type="deny" if rule.type == "permit" else "permit", actors=())
    return replace(rule, nested=(exception,))


def _any_rule(random: Random, nested: tuple[Provision, ...] = ()) -> Provision:
    return Provision(
        type=random.choice(("permit", "permit", "deny")),
        purposes=tuple(random.sample(PURPOSES, random.randrange(3))),
        actors=tuple(random.sample(ACTORS, random.choice((0, 0, 1, 2)))),
        authored_by=random.choice((None, None, tuple(random.sample(FACILITIES, random.randrange(3))))),
        studies=random.choice(((), (), (), ("1.2.3",), ("1.2.4", "9.9"))),
        labels=random.choice(((), (), *LABELS)),
        data_period=random.choice((None, None, *DATA_PERIODS)),
        period_start=random.choice((None, None, NOW - timedelta(days=1), NOW, NOW + timedelta(days=1))),
        period_end=random.choice((None, None, NOW - timedelta(days=1), NOW, NOW + timedelta(days=1))),
        nested=nested,
    )


# The second evaluator. It shares nothing with the product but the values, and says the rules in another way: it writes
# out all that a rule is about, as (purpose, actor, study) triples, and looks the question up in it.

Triple = tuple[str, str, int]
ABOVE = {"PSY": {"PSY"}, "ETHUD": {"ETHUD", "ETH"}}


def _labelled(named: tuple[str, ...], kind: str, labels: Labels) -> bool:
    scale = "ULMNRV"
    levels = [scale.index(code) for code in named if code in scale]
    level = scale.index(labels.confidentiality)
    if kind == "permit":
        kinds = labels.sensitivities
        return any(one >= level for one in levels) or (bool(kinds) and all(ABOVE[k] & set(named) for k in kinds))
    return any(one <= level for one in levels) or any(ABOVE[k] & set(named) for k in labels.sensitivities)


def _timed(period: DataPeriod | None, kind: str, made: Moment | None) -> bool:
    if period is None:
        return True
    if made is None:
        return kind == "deny"
    start, end = period.start or DAYS[0], period.end or DAYS[3] + A_DAY
    days = [day for day in DAYS if made.start <= day < made.end]
    return all(start <= day < end for day in days) if kind == "permit" else any(start <= day < end for day in days)


def _named(rule: Provision, data: Data) -> bool:
    if rule.authored_by is None and not rule.studies:
        return True
    return data.facility in (rule.authored_by or ()) or bool(set(rule.studies) & (data.names or frozenset()))


def _extent(rule: Provision, outer: Provision | None, *, at: datetime) -> set[Triple]:
    permit = rule.type == "permit"
    inner = rule.nested if outer is not None else ()
    if permit and outer is not None:
        names_data = rule.authored_by is not None or rule.studies
        rule = replace(
            rule,
            purposes=rule.purposes or outer.purposes,
            actors=rule.actors or outer.actors,
            authored_by=rule.authored_by if names_data else outer.authored_by,
            studies=rule.studies if names_data else outer.studies,
            labels=rule.labels or outer.labels,
            data_period=rule.data_period or outer.data_period,
        )
    purposes: set[str] = set()
    for purpose in rule.purposes or PURPOSES:
        purposes |= BELOW.get(purpose, {purpose})
    if permit and "BTG" not in rule.purposes:
        purposes.discard("BTG")
    explicit = bool(rule.studies) or bool({"PSY", "ETH", "ETHUD"} & set(rule.labels))
    about: set[Triple] = set()
    for index, data in enumerate(STUDIES):
        if not _named(rule, data) or not _timed(rule.data_period, rule.type, data.started):
            continue
        if rule.labels and not _labelled(rule.labels, rule.type, data.labels):
            continue
        opens = not data.labels.part2 or explicit or data.facility in (rule.authored_by or ())
        about |= {(p, a, index) for p in purposes if not permit or opens or p == "BTG" for a in rule.actors or ("*",)}
    for exception in inner:
        if _in_time(exception, at):
            gone = {(p, i) for p, _, i in _extent(exception, None, at=at)}
            about = {(p, a, i) for p, a, i in about if (p, i) not in gone}
    return about


def _in_time(rule: Provision, now: datetime) -> bool:
    return not (rule.period_start and now < rule.period_start) and not (rule.period_end and now >= rule.period_end)


def _shown_by_the_text(policy: PatientPolicy, requester: Requester) -> set[int]:
    extents = [
        (
            consent,
            _extent(consent.root, None, at=NOW),
            [(rule.type, _extent(rule, consent.root, at=NOW)) for rule in consent.root.nested if _in_time(rule, NOW)],
        )
        if consent.root is not None
        else (consent, set[Triple](), [])
        for consent in policy.consents
        if consent.active
    ]
    return {
        index
        for index in range(len(STUDIES))
        if all(_may(policy, extents, requester, p, index, NOW) for p in requester.purposes)
    }


def _may(
    policy: PatientPolicy,
    extents: list[tuple[ConsentVersion, set[Triple], list[tuple[str, set[Triple]]]]],
    requester: Requester,
    purpose: str,
    index: int,
    now: datetime,
) -> bool:
    callers = {"*", requester.organization, "Organization/" + requester.organization}
    if requester.subject_id:
        callers |= {requester.subject_id, "Practitioner/" + requester.subject_id.removeprefix("Practitioner/")}
    callers |= {group for group, members in GROUPS.items() if callers & members}
    question = {(purpose, caller, index) for caller in callers}
    said: list[str] = []
    permits_on_file = False
    bounds = {policy.implicit}
    for consent, at_the_root, inside in extents:
        if consent.root is None:
            return False
        if not _in_time(consent.root, now):
            continue
        bounds |= set(consent.bases)
        permits_on_file |= consent.root.type == "permit"
        nested = [kind for kind, extent in inside if question & extent]
        if nested:
            said.append(min(nested))  # "deny" comes before "permit" in the alphabet too
        elif question & at_the_root:
            said.append(consent.root.type)
    if said:
        return "deny" not in said
    labels = STUDIES[index].labels
    opens = {
        "basic-normal": {"TREAT", "ETREAT"},
        "all-normal": set(PURPOSES),
        "break-glass-only": {"BTG"},
        "deny": set[str](),
    }
    free = purpose == "BTG" or not labels.part2
    return (
        not permits_on_file
        and free
        and all(
            purpose in opens[bound] and (bound == "break-glass-only" or labels.confidentiality == "N")
            for bound in bounds
        )
    )
