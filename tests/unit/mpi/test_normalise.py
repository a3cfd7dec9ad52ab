"""What a FHIR Patient comes to before it is compared."""

from datetime import date
from typing import Any

import pytest

from gateway.mpi.match_record import MatchRecord, pack, unpack
from gateway.mpi.normalise import normalise, read_birth_date
from gateway.mpi.normalise_identifier import NATIONAL_SYSTEMS

TODAY = date(2026, 11, 24)
SSN = "http://hl7.org/fhir/sid/us-ssn"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
IHI = "http://ns.electronichealth.net.au/id/hi/ihi/1.0"


def read(**patient: Any) -> MatchRecord:
    """The MatchRecord of a Patient with these elements."""
    return normalise(patient, today=TODAY, strong_systems=frozenset(("urn:strong",)))


def named(**name: Any) -> MatchRecord:
    """The MatchRecord of a Patient with this one HumanName."""
    return read(name=[name])


def test_names_are_folded_to_latin_letters() -> None:
    """Case, accents, apostrophes and hyphens don't tell two names apart."""
    assert named(family="O’Brien", given=["José"])[:1] == ("jose",)
    assert named(family="O'BRIEN").family == named(family="obrien").family == "obrien"


def test_another_script_gets_a_key_and_keeps_its_writing() -> None:
    """A name in another script is compared by its transliteration, and by itself."""
    record = named(family="王", given=["小明"])

    assert (record.family, record.family_native, record.given_native) == ("wang", "王", "小明")
    assert named(family="Wang").family_native == ""


def test_compound_names_go_with_their_parts() -> None:
    """Either half of a double name is enough; a particle is not."""
    record = named(family="García-López", given=["Anna-Maria"])

    assert {"garcialopez", "garcia", "lopez"} <= set(record.families)
    assert {"annamaria", "anna", "maria"} <= set(record.givens)
    assert "der" not in named(family="van der Berg").families
    assert "berg" in named(family="van der Berg").families


def test_former_names_stay_comparable() -> None:
    """A maiden name is another form, and the current name comes first whatever the order."""
    record = read(name=[{"use": "maiden", "family": "Green"}, {"use": "official", "family": "Brown", "given": ["Eve"]}])

    assert (record.family, record.families) == ("brown", ("brown", "green"))


def test_names_for_the_time_being_are_set_aside() -> None:
    """A temporary or anonymous name says nothing of who it is."""
    assert read(name=[{"use": "temp", "family": "Doe"}, {"use": "anonymous", "family": "Roe"}]) == read()


@pytest.mark.parametrize(
    ("text", "family", "given", "middle", "suffix"),
    [
        ("Smith, John Allen", "smith", "john", "allen", ""),
        ("Dr. Ludwig van Beethoven Jr.", "vanbeethoven", "ludwig", "", "2"),
        ("John Smith, Jr", "smith", "john", "", "2"),
        ("Cher", "cher", "", "", ""),
        ("", "", "", "", ""),
    ],
)
def test_a_name_that_is_only_text_is_understood(text: str, family: str, given: str, middle: str, suffix: str) -> None:
    """HL7 Identity Matching: `HumanName.text` alone must be understood."""
    record = named(text=text)

    assert (record.family, record.given, record.middle, record.suffix) == (family, given, middle, suffix)


@pytest.mark.parametrize(
    ("given", "mother", "order"),
    [("BABY BOY", "", 0), ("BB A", "", 1), ("Judy Girl B", "judy", 2), ("Twin 1", "", 1), ("Infant", "", 0)],
)
def test_a_child_without_a_name_has_none(given: str, mother: str, order: int) -> None:
    """A newborn's placeholder is no name; the mother's name and the order of birth in it are kept (NPSG.01.01.01)."""
    record = named(family="Smith", given=[given])

    assert (record.given, record.newborn, record.mother_given, record.birth_order) == ("", True, mother, order)


@pytest.mark.parametrize("name", ["UNKNOWN", "test", "N/A", "XXX", "unbekannt"])
def test_placeholders_are_no_names(name: str) -> None:
    """What stands where no name is known is missing, in either place."""
    record = named(family=name, given=[name])

    assert (record.family, record.given, record.families, record.givens) == ("", "", (), ())


def test_suffixes_tell_generations() -> None:
    """From the suffix element, the family or the given name; a degree is no generation."""
    assert named(family="King", suffix=["III"]).suffix == "3"
    assert named(family="King Jr").suffix == named(family="King", given=["Al", "Jr."]).suffix == "2"
    assert named(family="King", suffix=["MD"]).suffix == ""
    assert named(family="Jr").family == "jr"


@pytest.mark.parametrize(
    ("stated", "read_as"),
    [
        ("1980-05-13", "19800513"),
        ("1980-05", "198005"),
        ("1980", "1980"),
        ("1900-01-01", ""),
        ("1980-02-30", ""),
        ("2027-01-01", ""),
        ("1850-01-01", ""),
        ("1980-01-01", "19800101"),
        ("", ""),
        (None, ""),
        ("198", ""),
        ("١٩٨٠", ""),
    ],
)
def test_birth_dates_that_can_be_somebodys(stated: str | None, read_as: str) -> None:
    """Defaults, days that never were, days to come and ages nobody reaches are set aside."""
    assert read_birth_date(stated, TODAY) == read_as


def test_only_male_and_female_are_compared() -> None:
    """`other` and `unknown` don't tell whose record it is."""
    assert [read(gender=one).sex for one in ("male", "female", "other", "unknown")] == ["male", "female", "", ""]


def test_phones_are_compared_without_prefixes_and_punctuation() -> None:
    """Country and trunk prefixes vary by system; junk and old numbers are set aside."""
    stated = ["+44 20 7946 0018", "020 7946 0018", "0000000000", "12", "123-456-789"]
    current = [{"system": "phone", "value": one} for one in stated]
    record = read(telecom=[*current, {"system": "phone", "use": "old", "value": "5550000199"}])

    assert record.phones == ("079460018",)


def test_emails_are_compared_without_case_and_tag() -> None:
    """An address that is written where there is none is set aside."""
    stated = ["Eve.Brown+clinic@Mail.Example", "none@mail.example", "no address"]

    assert read(telecom=[{"system": "email", "value": one} for one in stated]).emails == ("eve.brown@mail.example",)


def test_addresses_have_one_spelling() -> None:
    """Street words, units and their order don't tell two homes apart; the unit is kept by itself."""
    one = read(address=[{"line": ["12 High Street Apt 4B"], "postalCode": "12345", "city": "St. Ives"}])
    other = read(address=[{"line": ["12 HIGH ST", "4b"], "postalCode": "12345", "city": "St Ives"}])

    assert (
        (one.homes, one.unit, one.city)
        == (other.homes, other.unit, other.city)
        == (("12 high st 12345",), "4b", "stives")
    )


def test_no_address_is_none() -> None:
    """Homeless, unknown and placeholder postcodes say nothing; a post box is an address."""
    assert read(address=[{"line": ["Homeless"], "postalCode": "00000"}, {"text": "unknown"}]).homes == ()
    assert read(address=[{"line": ["PO Box 77"], "postalCode": "12345"}]).doors == ("77 pobox",)


def test_former_homes_stay_comparable() -> None:
    """All addresses are homes, and the current one comes first."""
    old = {"use": "old", "line": ["1 Elm Road"], "postalCode": "11112"}
    record = read(address=[old, {"use": "home", "line": ["2 Oak Lane"], "postalCode": "22223"}])

    assert (record.street, record.homes) == ("oak ln", ("2 oak ln 22223", "1 elm rd 11112"))


@pytest.mark.parametrize(
    ("system", "value", "kept"),
    [
        (SSN, "536-22-1234", True),
        (SSN, "999-99-9999", False),
        (SSN, "666-12-1234", False),
        (SSN, "123-45-6789", False),
        (SSN, "536-22-12", False),
        (NHS, "943 476 5919", True),
        (NHS, "943 476 5918", False),
        (NHS, "9434765", False),
        (IHI, "8003608166690503", True),
        (IHI, "8003608166690504", False),
        (IHI, "abc8003608", False),
        ("urn:strong", "A-17", True),
        ("urn:strong", "0000", False),
        ("urn:strong", "unknown", False),
    ],
)
def test_identifiers_that_can_be_somebodys(system: str, value: str, kept: bool) -> None:
    """Placeholders, numbers never issued and wrong check digits are set aside."""
    assert bool(read(identifier=[{"system": system, "value": value}]).national) is kept


def test_identifiers_of_facilities_are_no_national_ones() -> None:
    """They are kept apart; a type of table 0203 makes an identifier a person's; one for the time being is set aside."""
    record = read(
        identifier=[
            {"system": "urn:north", "value": "N-4711"},
            {"system": "urn:x", "value": "T-4711", "use": "temp"},
            {"system": "urn:pass", "value": "P 123", "type": {"coding": [{"code": "NI"}]}},
            {"value": "no system"},
        ]
    )

    assert (record.identifiers, record.national, record.national_systems) == (
        ("urn:north|N4711",),
        ("urn:pass|P123",),
        ("urn:pass",),
    )
    assert SSN in NATIONAL_SYSTEMS


def test_a_name_of_any_length_is_read_in_no_time() -> None:
    """What is longer than a name is cut, whatever it is."""
    record = named(family="x" * 10_000_000, given=["y" * 10_000_000] * 3)

    assert len(record.family) <= 120


def test_a_record_is_stored_and_opened_as_it_was() -> None:
    """The compact form loses nothing, and anything else is refused."""
    record = read(name=[{"family": "Brown", "given": ["Eve"]}], multipleBirthInteger=2)

    assert unpack(pack(record)) == record
    with pytest.raises(ValueError, match="unexpected end"):
        unpack(b"{")


def test_a_name_that_looks_like_a_placeholder_is_kept() -> None:
    """`Boy George` is a name; an address may begin with an empty line."""
    assert named(family="O'Dowd", given=["Boy", "George"]).given == "boy"
    assert read(address=[{"line": ["", "12 High Street", "Rosehill Lodge"]}]).unit == "rosehill lodge"
    assert read(address=[{"line": ["12 Elm 44 Rise"]}]).street == "elm rise"
