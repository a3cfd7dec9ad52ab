"""Whose each consent is, as identity stands at this moment.

A consent filed by an identifier belongs to whoever carries that identifier now; one filed by Patient/{id} to the person
of that id and to whom that person was merged into. Where no record carries the identifier any more, the consent stays
with the person it was filed for. Nothing is rewritten when records move: the next look-up sees it (T54, T55, T57).
"""

from dataclasses import dataclass

from sqlalchemy import Select, Subquery, bindparam, cast, exists, literal_column, null, or_, select, union_all
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
    """`key` of each Consent that is the `patient`'s now, and `shared`: 1 where it may be another's just as well."""
    carried = identity.carried.subquery("carried")
    by_identifier = select(consent.c.key, carried.c.shared).join(
        carried, carried.c.identifier_key == consent.c.identifier_key
    )
    (any_key,) = identity.known.selected_columns
    by_person = select(consent.c.key, cast(literal_column("0"), Integer).label("shared")).where(
        or_(consent.c.person_id == bindparam("patient"), consent.c.person_id.in_(identity.retired)),
        or_(
            consent.c.identifier_key == null(),
            ~exists(identity.known.where(any_key == consent.c.identifier_key)),
        ),
    )
    return union_all(by_identifier, by_person).subquery("theirs")
