"""Under which keys a record is looked for."""

from gateway.mpi.blocking import day, loose_keys, sound, tight_keys, wide_keys
from gateway.mpi.match_record import MatchRecord
from tests.factories_matching import a_record


def test_nothing_known_has_no_keys() -> None:
    """An empty record is compared with nobody: no key is made of what is missing."""
    assert tight_keys(MatchRecord()) == wide_keys(MatchRecord()) == loose_keys(MatchRecord()) == ()


def test_a_key_needs_all_of_its_parts() -> None:
    """A phone alone is no tight key, and half a key is none."""
    assert tight_keys(MatchRecord(phones=("555010001",))) == ()
    assert wide_keys(MatchRecord(phones=("555010001",))) == (("phone", "555010001"),)


def test_keys_are_found_in_spite_of_mistakes() -> None:
    """Swapped names, a swapped day and month, a name that sounds the same: a key is shared."""
    record = a_record(national=(), phones=(), emails=(), street="")
    for mistaken in (
        record._replace(given=record.family, family=record.given),
        record._replace(birth_date="19801205", postcode=""),
        record._replace(family="wyntergait"),
        record._replace(family="greene"),
        record._replace(given="bob"),
    ):
        assert set(tight_keys(record)) & set(tight_keys(mistaken))
        assert set(wide_keys(record)) & set(wide_keys(mistaken))


def test_shared_identifiers_phones_and_homes_are_keys() -> None:
    """Whatever else differs, a question finds them."""
    stranger = MatchRecord(given="olga", family="smith", birth_date="19330203")
    identifiers = ({"national": ("urn:n|1",)}, {"identifiers": ("urn:f|1",)})
    for one in (*identifiers, {"phones": ("1",)}, {"emails": ("e",)}, {"doors": ("1 a",)}):
        assert set(wide_keys(a_record(**one))) & set(wide_keys(stranger._replace(**one)))


def test_keys_are_each_once_and_loose_ones_are_all() -> None:
    """No key is looked up twice."""
    record = a_record()

    assert len(set(tight_keys(record))) == len(tight_keys(record))
    assert {*tight_keys(record), *wide_keys(record)} < set(loose_keys(record))


def test_partial_dates_and_other_scripts_have_keys_where_they_can() -> None:
    """A date without a day is no day; a name without Latin sounds stands for itself."""
    assert day("198005") == day("") == ""
    assert day("19801205") == day("19800512") == "19800512"
    assert sound("") == ""
    assert sound("7") == "7"
    assert sound("schmidt") == sound("schmitt")
