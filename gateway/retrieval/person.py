"""A person as consent sees them at this moment, for one caller. Pure."""

from gateway.consent.decide import decide_query
from gateway.consent.label_rules import LabelRules
from gateway.model import PatientIdentity
from gateway.retrieval.again import Grounds
from gateway.retrieval.ruling import Person
from gateway.retrieval.whose import Holder, RecordKey


def person_of(grounds: Grounds, rules: LabelRules) -> Person:
    """The person of the holder: what consent says now of each facility in whose domain they have a record."""
    domains: dict[str, list[RecordKey]] = {}
    for record in grounds.holder.records:
        domains.setdefault(record[1], []).append(record)
    facilities = [one for one in grounds.facilities if one.identifier_system in domains]
    floors = rules.floors(facilities)
    ids = [one.id for one in facilities]
    allowed = decide_query(grounds.policy, grounds.requester, ids, grounds.at, floors)
    asked = tuple(
        (one.id, tuple(domains[one.identifier_system]))
        for one in facilities
        if allowed[one.id].permitted and not one.suspended
    )
    id_ = grounds.holder.person
    return Person(id=id_, policy=grounds.policy, floors=floors, allowed=allowed, asked=(id_, asked))


def holder_of(identity: PatientIdentity) -> Holder:
    """The person with their records, of whom nothing has been shown."""
    records = tuple((record.record_id, record.identifier.system) for record in identity.records)
    return Holder(person=identity.id, records=records, seen=())
