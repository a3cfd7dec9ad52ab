"""Whose each consent is, as identity stands at this moment.

A consent filed by an identifier belongs to whoever carries that identifier now; one filed by Patient/{id} to the person
of that id and to whom that person was merged into. Where no record carries the identifier any more, the consent stays
with the person it was filed for. Nothing is rewritten when records move: the next look-up sees it (T54, T55, T57).
"""

from dataclasses import dataclass

from sqlalchemy import Select, Subquery, bindparam, cast, literal_column, null, or_, select, union_all
from sqlalchemy.types import Integer

from gateway.consent.tables import consent


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the index knows of persons, as statements that it hands in."""

    retired: Select[str]
    """The ids of the persons that were merged into the one bound as `patient`."""
    carried: Select[bytes, int]
    """`identifier_key` of each identifier the records of `patient` carry, and `shared`, 1 where another's do too."""
    known: Select[bytes]
    """The key of every identifier that any record carries."""


def theirs(identity: Identity) -> Subquery:
    """`key` and `version` of each Consent that is the `patient`'s now, and `shared`: 1 where it may be another's."""
    carried = identity.carried.subquery("carried")
    by_identifier = select(consent.c.key, consent.c.version, carried.c.shared).join(
        carried, carried.c.identifier_key == consent.c.identifier_key
    )
    (any_key,) = identity.known.selected_columns
    # One row sought by its key: PostgreSQL may turn an EXISTS into a hash of all identifiers there are.
    is_carried = identity.known.where(any_key == consent.c.identifier_key).limit(literal_column("1")).scalar_subquery()
    # One list of ids, and no OR: PostgreSQL finds the rows of either by their index.
    every_id = union_all(select(bindparam("patient", type_=consent.c.person_id.type)), identity.retired)
    by_person = select(consent.c.key, consent.c.version, cast(literal_column("0"), Integer).label("shared")).where(
        consent.c.person_id.in_(every_id),
        or_(consent.c.identifier_key == null(), is_carried == null()),
    )
    return union_all(by_identifier, by_person).subquery("theirs")
