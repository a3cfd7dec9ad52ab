"""What `facilities.toml` may say, and that every problem is told at once, by facility and key, without a secret."""

import json
from pathlib import Path

import pytest

from gateway.adapters.facilities_file import FacilitiesFile, read_facilities
from gateway.errors import LoadRefused

NORTH = """
[[facility]]
id = "north"
name = "North Hospital"
identifier_system = "urn:oid:1.2.36.1.10"
query_url = "http://127.0.0.1:18042/dicom-web"
"""


def read(
    text: str, *, environment: dict[str, str] | None = None, folder: Path = Path(), production: bool = False
) -> FacilitiesFile:
    return read_facilities(text.encode(), environment=environment or {}, folder=folder, production=production)


def problems(text: str, **how: object) -> list[str]:
    with pytest.raises(LoadRefused) as refused:
        read(text, **how)  # type: ignore[arg-type]
    return list(refused.value.problems)


def test_the_example_of_the_contract_is_read() -> None:
    """Every key of contract §2 means what it says."""
    (north,) = read(
        NORTH
        + """issuer = "NORTH"
time_zone = "America/New_York"
adapter = "dicomweb"
link_url = "https://pacs.north.example/dicom-web"
deadline_ms = 3000
retrieve = "own"
[facility.auth]
type = "basic"
username = "gw"
password = "gwpass"
"""
    ).facilities

    assert (north.id, north.issuer, north.time_zone) == ("north", "NORTH", "America/New_York")
    assert north.deadline.total_seconds() == 3
    assert (north.auth.username, north.auth.password) == ("gw", "gwpass")
    assert "gwpass" not in repr(north)


def test_clients_are_given_the_query_url_unless_there_is_a_link_url() -> None:
    """FHIR R4 Endpoint.address is a base: no slash at its end, no `/studies`."""
    (north,) = read(NORTH.replace("/dicom-web", "/dicom-web/studies/")).facilities

    assert north.query_url == north.link_url == "http://127.0.0.1:18042/dicom-web"


def test_all_problems_are_told_at_once() -> None:
    """An operator mends a file in one go."""
    found = problems(
        """
extra = 1
[[facility]]
id = "North!"
name = ""
identifier_system = "urn:oid:1.2.*"
timezone = "Europe/Zurich"
time_zone = "Europe/Zürich"
query_url = "ftp://archive.example"
deadline_ms = 10
suspended = 1
[facility.auth]
type = "basic"
username = "gw"
password = "topsecret"
password_env = "NORTH_PASSWORD"
passwort = "topsecret"
[[facility]]
name = "Nameless"
[[facility]]
id = "south"
name = "South"
identifier_system = "south"
query_url = "http://south.example/"
[[facility]]
id = "south"
name = "South"
identifier_system = "urn:x:south"
query_url = "http://south.example/"
"""
    )

    assert found == [
        "extra: is not a key of the file; facilities stand under [[facility]]",
        "facility North!: id: must be 1 to 32 characters of a-z, 0-9 and -",
        "facility North!: name: must not be empty",
        "facility North!: identifier_system: must not hold a wildcard (*, ? or \\)",
        "facility North!: time_zone: is not an IANA time zone; did you mean Europe/Zurich?",
        "facility North!: query_url: must begin with http:// or https://",
        "facility North!: deadline_ms: must be a whole number from 50 to 60000",
        "facility North!: suspended: must be true or false",
        "facility North!: timezone: is not a known key; did you mean time_zone?",
        "facility North!: auth.passwort: is not a known key; did you mean password?",
        "facility North!: auth.password: stands beside password_env; give one of them",
        "facility #2: id: is missing",
        "facility #2: identifier_system: is missing",
        "facility #2: query_url: is missing",
        "facility south: identifier_system: must be a URI, such as urn:oid:1.2.36.1.10",
        "facility south: id: stands more than once (entries 3, 4)",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file holds no [[facility]]"),
        ("facility = 1", "facility: must be written as [[facility]], once for each"),
        ("a = ", "the file is not TOML"),
        ("a = 1\nb = [", "the file is not TOML"),
        (NORTH + 'auth = 5', "facility north: auth: must be a table"),
        (NORTH + 'link_url = "https://a.example/\\u0001"', "facility north: link_url: has a character"),
        (NORTH + '[facility.auth]\ntype = "basic"', "facility north: auth.username: is missing"),
        (NORTH + '[facility.auth]\ntype = "magic"', "facility north: auth.type: must be one of none, basic"),
        (NORTH + '[facility.auth]\npassword = "x"', 'facility north: auth.password: does not belong to type "none"'),
        (
            NORTH + '[facility.auth]\ntype = "bearer"\ntoken_env = "NO_SUCH"',
            "facility north: auth.token_env: names an environment variable that is not set",
        ),
        (
            NORTH + '[facility.auth]\ntype = "mtls"\ncert_file = "no.pem"\nkey_file = "no.pem"',
            "facility north: auth.cert_file: names a file that can't be read",
        ),
        (
            NORTH + '[facility.auth]\ntype = "oauth2"\ntoken_url = "https://l.example/t"\nclient_id = "gw"',
            "facility north: auth.client_secret: is missing; give a client_secret or a private_key_file",
        ),
        (NORTH + "part2 = 1", "facility north: part2: must be true or false"),
        (NORTH + 'retrieve = "gate"', "facility north: gate_url: is missing"),
        (NORTH + 'host = "h"', 'facility north: host: does not belong to adapter "dicomweb"'),
        (NORTH + 'adapter = "soap"', "facility north: adapter: must be one of dicomweb, dimse, fhir"),
        (NORTH + "deadline_ms = true", "facility north: deadline_ms: must be a whole number"),
        (NORTH + 'issuer = "N*"', "facility north: issuer: must not hold a wildcard"),
        (NORTH + 'issuer = " "', "facility north: issuer: must not be empty"),
    ],
)  # fmt: skip
def test_each_problem_names_its_facility_and_key(text: str, problem: str) -> None:
    """In words an operator can act on."""
    assert any(one.startswith(problem) for one in problems(text)), problems(text)


@pytest.mark.parametrize(
    "adapter",
    [
        '"dimse"\nhost = "h"\nport = 104\ncalled_aet = "A"\ncalling_aet = "GW"\nlink_url = "https://a.example/w"',
        '"fhir"',
    ],
)
def test_an_adapter_that_is_not_there_yet_is_refused(adapter: str) -> None:
    """A facility that could never be asked is not registered as if it could."""
    text = NORTH if adapter == '"fhir"' else NORTH.replace("query_url", "# query_url")

    assert problems(text + f"adapter = {adapter}") == [
        f"facility north: adapter: {adapter.partition(chr(10))[0]} is not available in this version"
    ]


def test_dimse_needs_somewhere_to_send_clients() -> None:
    """Contract §2: no `dimse` without `link_url`."""
    assert "facility north: link_url: is missing" in problems(NORTH + 'adapter = "dimse"')


NO_ADDRESSES = r"""
ftp://a.example  file:///etc/passwd  gopher://a.example/  //a.example/x  a.example  http://  HTTP  http:/a.example
http://u:p@a.example/  http://a.example@b.example/  http://a.example\@b.example/  http://a.example#@b.example/
http://a.example/?x=1  http://a.example/x?  http://a.example/x#y  http://a.example:0/  http://a.example:99999/
http://2130706433/  http://0x7f.1/  http://127.1/  http://0/  http://0177.0.0.1/  http://１２７.0.0.1/
http://a.example/../x  http://a.example/*  http://*/  http://[::1/  http://[fe80::1%eth0]/  http://-a/
"""


@pytest.mark.parametrize(
    "url",
    [*NO_ADDRESSES.split(), "http://a b/", "http://a.example/ x", "http://a.example/\r\nX: y", " http://a.example"],
)
def test_t102_an_address_that_could_be_read_two_ways_is_refused(url: str) -> None:
    """What one reader takes for a name and another for loopback is no address."""
    found = problems(NORTH.replace('"http://127.0.0.1:18042/dicom-web"', json.dumps(url)))

    assert [one.partition(": ")[2].partition(":")[0] for one in found] == ["query_url"]


@pytest.mark.parametrize(
    "url", ["http://10.0.0.5:8042/dicom-web", "http://[::1]:8042/x", "http://orthanc_north:8042", "https://a.example"]
)
def test_private_and_named_addresses_are_taken(url: str) -> None:
    """Members often are on private networks."""
    assert read(NORTH.replace("http://127.0.0.1:18042/dicom-web", url)).facilities[0].query_url == url


def test_production_takes_plain_http_only_on_this_machine() -> None:
    """A token or a patient's number never travels in clear."""
    assert read(NORTH, production=True).facilities
    assert problems(NORTH.replace("127.0.0.1", "north.example"), production=True) == [
        "facility north: query_url: must be https in production"
    ]


def test_secrets_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """They are resolved when the file is applied; a relative name is looked for beside the file."""
    from joserfc.jwk import ECKey

    pem = ECKey.generate_key("P-384").as_pem(private=True).decode()
    (tmp_path / "key.pem").write_text(pem)
    basic = NORTH + '[facility.auth]\ntype = "basic"\nusername = "gw"\npassword_env = "P"\n'
    oauth = NORTH.replace("north", "south") + (
        '[facility.auth]\ntype = "oauth2"\ntoken_url = "https://l.example/t"\nclient_id = "gw"\n'
        'private_key_file = "key.pem"\n'
    )
    north, south = read(basic + oauth, environment={"P": "from-env"}, folder=tmp_path).facilities

    assert north.auth.password == "from-env"
    assert south.auth.private_key == pem


def test_a_key_that_can_not_sign_is_refused(tmp_path: Path) -> None:
    """And its text is not quoted."""
    (tmp_path / "key.pem").write_text("topsecret")
    auth = '[facility.auth]\ntype = "oauth2"\ntoken_url = "https://l.example/t"\nclient_id = "gw"\n'
    found = problems(NORTH + auth + 'private_key_file = "key.pem"', folder=tmp_path)

    assert found == ["facility north: auth.private_key_file: holds not a private RSA or EC key, PEM or JWK"]


def test_a_file_says_for_which_facilities_it_states_a_suspension() -> None:
    """Applying a file that is silent about it must not resume a facility that was suspended by hand."""
    file = read(NORTH + "suspended = true\n" + NORTH.replace("north", "south"))

    assert file.suspension_stated == {"north"}
    assert [one.suspended for one in file.facilities] == [True, False]


def test_an_enormous_or_undecodable_file_is_refused() -> None:
    """Before it is parsed."""
    for content in (b"#" * 1_000_001, b"\xff\xfe"):
        with pytest.raises(LoadRefused):
            read_facilities(content, environment={}, folder=Path(), production=False)


@pytest.mark.parametrize(("retrieve", "refused"), [("own", False), ("token", True)])
def test_t100_two_facilities_that_take_tokens_have_addresses_of_their_own(retrieve: str, refused: bool) -> None:
    """A token names the facility that it is for by its address."""
    both = "".join(
        f'[[facility]]\nid = "{id_}"\nname = "N"\nidentifier_system = "urn:oid:1.2.{n}"\n'
        f'query_url = "https://{id_}.example"\nlink_url = "https://shared.example/dicom-web"\nretrieve = "{retrieve}"\n'
        for n, id_ in enumerate(("north", "south"), 1)
    )
    if refused:
        told = problems(both)
        assert [one.partition(": link_url: ")[0] for one in told] == ["facility north", "facility south"]
    else:
        assert len(read(both).facilities) == 2
