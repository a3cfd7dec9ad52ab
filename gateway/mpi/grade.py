"""How sure a match is, in the words of FHIR's match-grade. Pure.

`certain` is what may be acted on without a person looking; so it is refused to a question that says too little, however
high it scores: name, birth date and sex alone are shared by strangers (HL7 Identity Matching weighs them below the
9 points its level idi-L0 asks for).
"""

from collections.abc import Sequence
from typing import Literal

from gateway.mpi.algorithm import Thresholds
from gateway.mpi.match_record import MatchRecord

Grade = Literal["certain", "probable", "possible", "certainly-not"]
"""http://terminology.hl7.org/CodeSystem/match-grade"""

OUTDONE_BITS = 10.0
"""How much more alike another person must be for an answer not to be certain."""
CERTAIN_WEIGHT = 9
"""The input weight from which a question may be answered `certain` (HL7 Identity Matching, invariant idi-L0)."""


def grade_person(best: float, mean: float, held: bool, thresholds: Thresholds) -> Grade:
    """`certain`: may be linked. `probable`: alike enough, but held by a guard or by the person's other records.
    `possible`: for a steward. `certainly-not`: not worth looking at."""
    if best >= thresholds.link:
        return "certain" if not held and mean >= thresholds.mean else "probable"
    return "possible" if best >= thresholds.review else "certainly-not"


def input_weight(question: MatchRecord) -> int:
    """How much a question says of who is meant (HL7 Identity Matching, IDI-Patient input weights).

    5 for each identifier that names one person or that a facility gave (10 at most), 4 for one and 5 for more of
    address, e-mail and phone, 3 for first and last name, 2 for the birth date.
    """
    identifiers = min(10, 5 * (len(question.national) + len(question.identifiers)))
    contacts = sum(map(bool, (question.street, question.emails, question.phones)))
    contact = 5 if contacts > 1 else 4 if contacts else 0
    name = 3 if question.given and question.family else 0
    return identifiers + contact + name + (2 if question.birth_date else 0)


def grade_answer(grade: Grade, question: MatchRecord) -> Grade:
    """The grade an answer to a question gets: `certain` only where the question says enough for it."""
    return "probable" if grade == "certain" and input_weight(question) < CERTAIN_WEIGHT else grade


def grade_answers(ranked: Sequence[tuple[Grade, float]], question: MatchRecord) -> tuple[Grade, ...]:
    """The grades of all answers to a question, given each person's grade and match weight, the most alike first.

    Whom another is so much more alike to isn't certain: that both are meant is a thousand times less likely.
    """
    best = max((bits for _, bits in ranked), default=0.0)
    outdone = ("probable" if grade == "certain" and best - bits >= OUTDONE_BITS else grade for grade, bits in ranked)
    return tuple(grade_answer(grade, question) for grade in outdone)


def only_certain(grades: Sequence[Grade]) -> tuple[int, ...]:
    """The places that `onlyCertainMatches` leaves: the one certain match, or nothing where several are certain
    (IHE PDQm ITI-119: they can't be confirmed as one person)."""
    certain = tuple(place for place, grade in enumerate(grades) if grade == "certain")
    return certain if len(certain) == 1 else ()
