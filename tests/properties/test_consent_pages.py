"""Pages of Consents lose none and repeat none, whatever is filed, changed or revoked between them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.consent.store import StoredVersion
from gateway.fhir.answer_form import AnswerForm
from gateway.fhir.consent_pages import page_of_consents
from gateway.fhir.consent_search import ConsentSearch
from gateway.fhir.paging import Place
from gateway.model import PatientID, PatientRef, Token
from tests.factories_consent import NOW, a_consent

A_SECOND = timedelta(seconds=1)


@dataclass
class Registry:
    """Versions by id, as a store keeps them."""

    now: datetime = NOW
    versions: dict[str, list[StoredVersion]] = field(default_factory=dict)

    def file(self, id_: str, status: str) -> None:
        """The next version of it is on file."""
        former = self.versions.setdefault(id_, [])
        former[:] = [StoredVersion(consent=one.consent, resource=one.resource, current=False) for one in former]
        consent = a_consent(id=id_, version=len(former) + 1, active=status == "active", recorded_at=self.now)
        former.append(StoredVersion(consent=consent, resource={"status": status}, current=True))

    def history(self) -> list[StoredVersion]:
        """Every version, oldest first."""
        return sorted(
            (one for versions in self.versions.values() for one in versions),
            key=lambda one: (one.consent.recorded_at, one.consent.id, one.consent.version),
        )


def a_search(count: int, *, descends: bool, status: str | None) -> ConsentSearch:
    """A search on one person's Consents."""
    form = AnswerForm(count=count, summary="false", elements=(), total="accurate", pretty=False, self_pairs=())
    return ConsentSearch(
        patient=PatientRef(id=PatientID("p")),
        status=((Token(None, status),),) if status else (),
        actor=(),
        last_updated=(),
        id=(),
        descends=descends,
        form=form,
    )


filings = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(("active", "inactive")), st.integers(0, 2)), max_size=12
)


@given(filings, st.lists(filings, max_size=8), st.integers(1, 5), st.booleans(), st.sampled_from((None, "active")))
def test_what_was_there_when_the_search_began_is_told_once(
    before: list[tuple[str, str, int]],
    between: list[list[tuple[str, str, int]]],
    count: int,
    descends: bool,
    status: str | None,
) -> None:
    """Of each that matches throughout exactly one, in the order of when the search began; of others at most one."""
    registry = Registry()
    _file_all(registry, before)
    search = a_search(count, descends=descends, status=status)
    first = {id_: versions[-1] for id_, versions in registry.versions.items()}
    throughout = {id_ for id_ in first if search.finds(first[id_])}
    order = {id_: versions[-1].consent.recorded_at for id_, versions in registry.versions.items()}
    told: list[str] = []
    after: Place | None = None
    for page_number in range(100):
        page = page_of_consents(registry.history(), search, registry.now, after)
        assert len(page.consents) <= count
        assert all(one.current and search.finds(one) for one in page.consents)
        told += [one.consent.id for one in page.consents]
        after = page.next
        if after is None:
            break
        registry.now += A_SECOND  # of two things at the very same microsecond nobody knows which was first
        _file_all(registry, between[page_number] if page_number < len(between) else [])
        throughout &= {id_ for id_ in first if search.finds(registry.versions[id_][-1])}

    assert after is None
    assert len(told) == len(set(told))
    assert throughout <= set(told) <= set(first)
    sign = -1 if descends else 1
    assert told == sorted(told, key=lambda id_: (sign * (order[id_] - NOW), id_))


@given(filings, st.integers(1, 5))
def test_the_total_is_of_all_pages(before: list[tuple[str, str, int]], count: int) -> None:
    """And a count alone has no page."""
    registry = Registry()
    _file_all(registry, before)
    page = page_of_consents(registry.history(), a_search(count, descends=False, status=None), registry.now)

    assert page.total == len(registry.versions)
    assert len(page.consents) == min(count, page.total)
    assert (page.next is None) == (page.total <= count)


def _file_all(registry: Registry, filings: list[tuple[str, str, int]]) -> None:
    for id_, status, seconds in filings:
        registry.now += seconds * A_SECOND
        registry.file(id_, status)
