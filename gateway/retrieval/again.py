"""What was known of a study a moment ago, used again only where all that it came of has been read anew and is the same.

A viewer's thousand frames are one study of one person for one caller. Identity, links, consents, facilities and the
caller's token are looked up for each; where none of them differs, nothing has to be worked out a second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.consent.decide import still_holds
from gateway.consent.policy import PatientPolicy
from gateway.model import Facility, FacilityID, Requester, StudyUID
from gateway.retrieval.decide import Known
from gateway.retrieval.facts import Asked, FactsMemory, PersonFacts
from gateway.retrieval.whose import Holder

_MOST = 10_000
Key = tuple[str, FacilityID, StudyUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """All that is read anew for a request."""

    requester: Requester
    holder: Holder
    policy: PatientPolicy
    facilities: Sequence[Facility]
    """As the registry holds them: the very same object until any of them changes."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worked:
    grounds: Grounds
    asked: Asked
    facts: PersonFacts
    known: Known


class SameAgain:
    """Remembers what came of which grounds. One object serves all threads."""

    def __init__(self, facts: FactsMemory) -> None:
        self._facts = facts
        self._worked: dict[Key, _Worked] = {}

    def find(self, key: Key, now: Grounds) -> Known | None:
        """What is known of the study, where the grounds are what they were and what facilities told is still fresh."""
        before = self._worked.get(key)
        if before is None:
            return None
        then = before.grounds
        same = (
            then.facilities is now.facilities
            and then.holder == now.holder
            and then.requester == now.requester
            and still_holds(then.policy, then.at, now.policy, now.at)
            and self._facts.recall(before.asked) is before.facts
        )
        return before.known if same else None

    def keep(self, key: Key, grounds: Grounds, asked: Asked, facts: PersonFacts, known: Known) -> None:
        """This is what came of these grounds."""
        if len(self._worked) >= _MOST:
            self._worked.clear()
        self._worked[key] = _Worked(grounds=grounds, asked=asked, facts=facts, known=known)
