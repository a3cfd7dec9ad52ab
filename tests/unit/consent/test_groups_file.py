"""`groups.toml` is read as a whole: a group whose members or names aren't certain is refused."""

import pytest

from gateway.consent.groups_file import Group, clashes, group_names, read_groups
from gateway.errors import LoadRefused
from tests.factories_consent import NORTH, SOUTH

BASE = "https://gateway.example/fhir/r4"
NAMES = {"Organization/north": NORTH, "urn:oid:1.1": NORTH, "Organization/south": SOUTH, "urn:oid:1.2": SOUTH}
RHINE = """
[[group]]
id = "rhine"
name = "Hospitals of the Rhine"
names = ["https://rhine.example", "urn:x|7"]
organizations = ["north", "urn:oid:1.2", "https://practice.example"]
users = ["Practitioner/dr", "http://hl7.org/fhir/sid/us-npi|1234567893"]
"""


def test_a_group_has_its_members_by_every_name_of_theirs() -> None:
    """A facility by its domain is that facility; no user can call themselves an organisation."""
    (group,) = read_groups(RHINE.encode(), NAMES)
    assert group.reference == "Group/rhine"
    assert group.members == {
        "Organization/north",
        "Organization/south",
        "Organization/urn:oid:1.2",
        "Organization/https://practice.example",
        "Practitioner/dr",
        "http://hl7.org/fhir/sid/us-npi|1234567893",
    }


def test_a_consent_may_call_a_group_by_its_id_or_as_the_organisation_it_is() -> None:
    """As a Group or an Organization of the exchange, relative or absolute, and by its own names."""
    names = group_names(read_groups(RHINE.encode(), NAMES), BASE)
    assert names == dict.fromkeys(
        (
            *("Group/rhine", "Organization/rhine", f"{BASE}/Group/rhine", f"{BASE}/Organization/rhine"),
            *("https://rhine.example", "urn:x|7"),
        ),
        "Group/rhine",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not toml [", "the file is not TOML"),
        ("", "group: must be written as [[group]], once for each"),
        ("group = 1", "group: must be written as [[group]], once for each"),
        ("other = 1\n" + RHINE, "other: is not a key of the file; groups stand under [[group]]"),
        (RHINE.replace('"rhine"', '"Rhine!"'), "group #1: id: is made of a-z, 0-9 and -, at most 32"),
        (RHINE.replace('"rhine"', '"north"'), "group north: id: is a facility's"),
        (RHINE + "colour = 1", "group rhine: colour: is not a known key"),
        (RHINE.replace('"Hospitals of the Rhine"', '" "'), "group rhine: name: is missing"),
        (RHINE.replace('["Practitioner/dr", ', '[1, "Practitioner/dr", '), "group rhine: users: is a list of texts"),
        (RHINE.replace('"https://rhine.example"', '"rhine"'), "group rhine: names: a URI, or system|value"),
        (RHINE.replace('"https://rhine.example"', '"urn:oid:1.1"'), "group rhine: names: urn:oid:1.1 is a facility's"),
        (
            RHINE.replace('"north"', '"norht"'),
            "group rhine: organizations: norht is neither a facility nor a URI",
        ),
        (
            RHINE.replace('"Practitioner/dr"', '"Organization/south"'),
            "group rhine: users: a reference (Practitioner/…), a URI, or system|value",
        ),
        (
            '[[group]]\nid = "empty"\nname = "Empty"',
            "group empty: has no members: organizations, users or both",
        ),
        (RHINE * 2, "group rhine: Group/rhine is a name of the group rhine"),
    ],
)
def test_what_is_not_certain_is_refused(text: str, problem: str) -> None:
    """Each problem with its group and key."""
    with pytest.raises(LoadRefused) as refused:
        read_groups(text.encode(), NAMES)
    assert problem in refused.value.problems


def test_two_groups_share_no_name() -> None:
    """Whom a Consent means by it couldn't be told."""
    one = Group(id="one", name="One", names=("urn:x|7",), users=("Practitioner/a",))
    other = Group(id="other", name="Other", names=("urn:x|7",), users=("Practitioner/b",))
    assert clashes([one], [other]) == ["group one: urn:x|7 is a name of the group other"]
    assert clashes([one], []) == []
