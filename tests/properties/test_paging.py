"""Paging loses nothing and repeats nothing, whatever happens between the pages."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir.paging import Place, page_of

Entry = tuple[int, str]
entries = st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(-3, 3), max_size=30)


def _place(entry: Entry) -> Place:
    return entry


def _pages(listings: list[dict[str, int]], count: int) -> list[list[Entry]]:
    """Page after page, each from the next listing; the last listing serves all that follow."""
    pages: list[list[Entry]] = []
    after: Place | None = None
    while True:
        listing = listings[min(len(pages), len(listings) - 1)]
        page, after = page_of([(value, id_) for id_, value in listing.items()], _place, count, after)
        pages.append(page)
        if after is None:
            return pages


@given(entries, st.integers(1, 35))
def test_pages_one_after_the_other_are_the_whole_list_in_order(listing: dict[str, int], count: int) -> None:
    """Every page but the last is full, and none is empty unless there is nothing at all."""
    pages = _pages([listing], count)

    assert [entry for page in pages for entry in page] == sorted((value, id_) for id_, value in listing.items())
    assert all(len(page) == count for page in pages[:-1])
    assert pages[-1] or not listing


@given(
    entries,
    st.lists(st.tuples(entries, st.sets(st.text("abc", min_size=1, max_size=4))), max_size=6),
    st.integers(1, 5),
)
def test_what_appears_or_vanishes_between_pages_repeats_and_loses_nothing_else(
    listing: dict[str, int], changes: list[tuple[dict[str, int], set[str]]], count: int
) -> None:
    """Those that were there all along come exactly once and in order; nothing at all comes twice."""
    listings = [listing]
    for added, removed in changes:
        kept = {id_: value for id_, value in listings[-1].items() if id_ not in removed}
        listings.append({id_: value for id_, value in added.items() if id_ not in listing} | kept)
    handed_out = [entry for page in _pages(listings, count) for entry in page]
    throughout = {id_ for id_ in listing if all(id_ in later for later in listings)}

    assert [entry for entry in handed_out if entry[1] in throughout] == sorted(
        (listing[id_], id_) for id_ in throughout
    )
    assert handed_out == sorted(handed_out)
    assert len(handed_out) == len(set(handed_out))
