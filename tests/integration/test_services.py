"""The servers and checkers that other tests rely on are real, hold what they should, and refuse what they should."""

import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
import redis
import requests
from sqlalchemy import Engine, text

from gateway.db.session import open_database, reading, writing
from tests import canary
from tests.services import chromium, dicom_files, dicom_writer, nginx, node
from tests.services.haproxy import HAProxy
from tests.services.nginx import Nginx
from tests.services.orthanc import Orthanc
from tests.services.pgbouncer import PgBouncer
from tests.services.process import Server
from tests.services.tiny_pacs import TinyPacs

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("time_around", [1, 2])
def test_each_test_gets_a_database_of_its_own(engine: Engine, time_around: int) -> None:
    """What one test writes is not in the next one's database."""
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE mine (n integer)"))
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM mine")).scalar() == 0


def test_the_pooler_is_in_transaction_mode(pgbouncer: PgBouncer, pgbouncer_url: str) -> None:
    """Statements reach the database, and two transactions of one client may run in two sessions of the server."""
    with psycopg.connect(pgbouncer_url.rsplit("/", 1)[0] + "/pgbouncer", autocommit=True) as console:
        shown = {row[0]: row[1] for row in console.execute("SHOW CONFIG", prepare=False).fetchall()}
    assert shown["pool_mode"] == "transaction"
    engine = open_database(pgbouncer_url)
    try:
        with reading(engine) as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
    finally:
        engine.dispose()


def test_redis_answers_and_holds_nothing(redis_url: str) -> None:
    """A real Redis, empty."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
        assert client.dbsize() == 0


def _studies(url: str, patient: str, **how: object) -> list[dict[str, dict[str, list[object]]]]:
    answer = requests.get(f"{url}/studies?PatientID={patient}", timeout=10, **how)  # type: ignore[arg-type]
    answer.raise_for_status()
    return answer.json() if answer.content else []


def test_orthanc_holds_what_was_loaded(orthanc_archives: Mapping[str, Orthanc]) -> None:
    """Every patient's studies are found by QIDO-RS at the facility that has them, and only there."""
    for archive in orthanc_archives.values():
        for person in dicom_files.patients(archive.studies):
            found = _studies(archive.dicomweb_url, person.patient_id, auth=(archive.username, archive.password))
            wanted = {study.uid for study in archive.studies if study.person == person}
            assert {study["0020000D"]["Value"][0] for study in found} == wanted


def test_orthanc_lets_nobody_in_without_a_password(orthanc_archives: Mapping[str, Orthanc]) -> None:
    """It wants HTTP Basic."""
    archive = orthanc_archives["NORTH"]
    assert requests.get(f"{archive.dicomweb_url}/studies", timeout=5).status_code == 401


def test_the_archives_hold_one_study_twice_with_different_series(orthanc_archives: Mapping[str, Orthanc]) -> None:
    """NORTH and SOUTH hold the same Study Instance UID; SOUTH has a series more."""
    series = {}
    for name in ("NORTH", "SOUTH"):
        archive = orthanc_archives[name]
        url = f"{archive.dicomweb_url}/studies/{dicom_files.uid_of('study', 'mueller-ct')}/series"
        found = requests.get(url, auth=(archive.username, archive.password), timeout=5).json()
        series[name] = {row["0020000E"]["Value"][0] for row in found}
    assert series["NORTH"] < series["SOUTH"]


def test_names_survive_their_character_sets(orthanc_archives: Mapping[str, Orthanc]) -> None:
    """Latin-1 and Cyrillic names come back as they were meant."""
    archive = orthanc_archives["NORTH"]
    auth = (archive.username, archive.password)
    names = {
        _studies(archive.dicomweb_url, patient, auth=auth)[0]["00100010"]["Value"][0]["Alphabetic"]  # type: ignore[index]
        for patient in ("N-0001", "N-0002", "1001")
    }
    assert names == {"Müller^Jürgen", "Иванов^Пётр", "O'Brien^Mary"}


def test_orthanc_comes_back_with_what_it_held() -> None:
    """An archive may be stopped and started within a test."""
    archive = Orthanc("WEST")
    archive.load(dicom_files.ARCHIVES["EAST"][:1])
    archive.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(archive.base_url, timeout=2)
    archive.start()
    try:
        assert len(_studies(archive.dicomweb_url, "E.77", auth=(archive.username, archive.password))) == 1
    finally:
        archive.stop()


def test_tiny_pacs_holds_what_was_loaded_and_answers_in_its_own_way(tiny_pacs: TinyPacs) -> None:
    """It finds a study by its patient, says 204 where there is none, and wants its token."""
    headers = {"Authorization": f"Bearer {tiny_pacs.token}"}
    assert len(_studies(tiny_pacs.dicomweb_url, "E.77", headers=headers)) == 1
    none = requests.get(f"{tiny_pacs.dicomweb_url}/studies?PatientID=nobody", headers=headers, timeout=5)
    assert none.status_code == 204
    assert requests.get(f"{tiny_pacs.dicomweb_url}/studies", timeout=5).status_code == 401


def test_the_same_files_are_made_every_time(tmp_path: Path) -> None:
    """Sample files are equal to the byte over runs, whatever the clock says."""
    made = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        made.append(
            {path.name: path.read_bytes() for path in dicom_writer.write(dicom_files.ARCHIVES["NORTH"], folder)}
        )
    assert made[0] == made[1]
    assert len(made[0]) == sum(study.instances for study in dicom_files.ARCHIVES["NORTH"])


def test_nothing_listens_beyond_loopback(
    orthanc_archives: Mapping[str, Orthanc], tiny_pacs: TinyPacs, redis_url: str, postgres_url: str
) -> None:
    """No server of the tests can be reached from another machine."""
    ours = {server.pid for server in Server.running}
    assert len(ours) >= 6
    inodes = {link for pid in ours for link in _socket_inodes(pid)}
    reachable = [address for address, inode in _listening() if inode in inodes and address not in LOOPBACK_IN_PROC]
    assert reachable == []


LOOPBACK_IN_PROC = ("0100007F", "00000000000000000000000001000000")


def _socket_inodes(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        target = str(link.readlink())
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def _listening() -> list[tuple[str, str]]:
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                rows.append((fields[1].split(":")[0], fields[9]))
    return rows


def test_nginx_serves_a_canned_archive() -> None:
    """Study and series queries get the answers given, whatever the parameters."""
    server = nginx.canned_archive(b'[{"0020000D": {"vr": "UI", "Value": ["2.25.1"]}}]')
    try:
        assert len(_studies(server.url, "anybody")) == 1
        assert requests.get(f"{server.url}/studies/2.25.1/series", timeout=5).json() == []
    finally:
        server.stop()


def test_nginx_has_bad_days() -> None:
    """Slow, failing, closing, logged out, half an answer."""
    server = Nginx(nginx.FAULTS)
    try:
        begun = time.monotonic()
        assert requests.get(f"{server.url}/slow/studies", timeout=5).json() == []
        assert time.monotonic() - begun >= 1.4
        assert requests.get(f"{server.url}/error/studies", timeout=5).status_code == 503
        assert requests.get(f"{server.url}/login/studies", timeout=5).headers["Content-Type"] == "text/html"
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{server.url}/closed/studies", timeout=5)
        with pytest.raises(requests.JSONDecodeError):
            requests.get(f"{server.url}/half/studies", timeout=5).json()
    finally:
        server.stop()


def test_haproxy_goes_round_a_server_that_has_ended() -> None:
    """Requests reach whichever server still answers."""
    one, two = (Nginx('location / { return 200 "here"; }') for _ in range(2))
    balancer = HAProxy([one.port, two.port], check="/")
    try:
        one.stop()
        answers = [requests.get(balancer.url, timeout=5).status_code for _ in range(4)]
        assert answers == [200] * 4
    finally:
        balancer.stop()
        two.stop()


def test_chromium_runs_a_page(tmp_path: Path) -> None:
    """A page's scripts run, and its picture is taken."""
    page = tmp_path / "page.html"
    page.write_text("<p id=p>before</p><script>document.getElementById('p').textContent = 'af' + 'ter'</script>")
    assert ">after<" in chromium.page_after_scripts(page.as_uri())
    picture = tmp_path / "page.png"
    chromium.screenshot(page.as_uri(), picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_node_is_new_enough() -> None:
    """A Node.js of version 20 or later is here."""
    assert Path(node.node()).exists()


def test_a_server_ends_when_it_is_stopped(tmp_path: Path) -> None:
    """Its process is gone and reaped, and no longer counted as running."""
    server = Server("sleep", ["sleep", "60"], folder=tmp_path)
    assert server.alive
    assert server.stop() == -15
    assert server not in Server.running
    assert not server.alive


def test_the_canary_is_found_however_it_is_written() -> None:
    """Upper and lower case and percent-encoding don't hide a planted value."""
    assert canary.found_in(f"GET /ImagingStudy?x={canary.MRN.replace('-', '%2d')}", "log")
    assert canary.found_in(canary.FAMILY.upper(), "log")
    assert canary.found_in("nothing of interest", "log") == []


def test_the_planted_patient_is_in_every_archive() -> None:
    """What must not leak is really there to leak."""
    for studies in dicom_files.ARCHIVES.values():
        assert any(canary.FAMILY in study.person.name for study in studies)
