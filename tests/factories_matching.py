"""Records to be matched: plain functions with keyword arguments."""

from typing import Any

from gateway.mpi.algorithm import Algorithm, default_algorithm
from gateway.mpi.decide import Member
from gateway.mpi.match import Matcher
from gateway.mpi.match_record import MatchRecord
from gateway.mpi.nicknames import given_forms


def a_record(**fields: Any) -> MatchRecord:
    """A full record of one invented man; `fields` say otherwise."""
    stated: dict[str, Any] = {
        "given": "william",
        "middle": "james",
        "family": "wintergate",
        "birth_date": "19800512",
        "sex": "male",
        "phones": ("555010001",),
        "emails": ("w@mail.example",),
        "number": "12",
        "street": "oak av",
        "postcode": "10001",
        "city": "ashdale",
        "national": ("urn:n|536221234",),
        **fields,
    }
    given, family, national = stated["given"], stated["family"], stated["national"]
    door = f"{stated['number']} {stated['street']}" if stated["street"] else ""
    derived = {
        "given_forms": given_forms(given),
        "givens": tuple(one for one in (given, stated["middle"]) if len(one) > 1),
        "families": (family,) if family else (),
        "homes": (f"{door} {stated['postcode']}",) if door else (),
        "doors": (door,) if door else (),
        "national_systems": tuple({one.partition("|")[0]: None for one in national}),
    }
    return MatchRecord(**{**derived, **stated})


def a_member(number: int, **fields: Any) -> Member:
    """The same, stored under a number."""
    return Member(number, a_record(**fields))


def a_matcher(algorithm: Algorithm | None = None, records: int = 100_000) -> Matcher:
    """The shipped algorithm, in an index of a hundred thousand records."""
    return Matcher(algorithm or default_algorithm(), records=records)
