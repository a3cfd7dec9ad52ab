"""HL7 v2 messages over MLLP: `python -m gateway adt serve` as an engine sends to it, and what EHRs find then."""

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests import canary
from tests.functional.small_exchange import SmallExchange
from tests.services.exchange import NATIONAL_IDS, domain_of
from tests.services.mllp import END, START, MllpSender, answer_of
from tests.services.process import Server, accepts_connections, free_port

NATIONAL_OID = NATIONAL_IDS.removeprefix("urn:oid:")


class Engine:
    """An exchange with two facilities whose HL7 v2 engines send to the gateway."""

    def __init__(self) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.exchange = SmallExchange(
            GATEWAY_ADT_LISTEN=f"127.0.0.1:{self.port}", GATEWAY_ADT_METRICS_LISTEN=f"127.0.0.1:{self.metrics_port}"
        )
        for facility in ("north", "south"):
            self.exchange.add_facility(facility, "http://127.0.0.1:9", issuer=f"{facility.upper()}-ADT")
        self.exchange.add_person("one", "north")
        self.exchange.start()
        self.server = self.start()

    def start(self) -> Server:
        """The process that takes in messages."""
        gateway = self.exchange.gateway
        server = Server(
            "adt", [sys.executable, "-m", "gateway", "adt", "serve"], folder=gateway.folder, env=gateway.env
        )
        server.wait_until(lambda: accepts_connections(self.port))
        return server

    def stop(self) -> None:
        """Both processes have ended, and their logs have been searched for the planted person."""
        assert self.server.stop() == 0
        canary.record(self.server.log_text(), "the log of adt serve")
        self.exchange.stop()

    def send(self, *segments: str) -> list[list[str]]:
        """The acknowledgement of one message on a connection of its own."""
        with MllpSender(self.port) as sender:
            return sender.send(*segments)

    def person(self, value: str, facility: str = "north") -> dict[str, Any] | None:
        """The Patient with that identifier, as an EHR finds it."""
        answer = self.exchange.get("/Patient", {"identifier": f"{domain_of(facility)}|{value}"}).json()
        return answer["entry"][0]["resource"] if answer["total"] else None


def msh(event: str, *, facility: str = "north", control: str = "C1", processing: str = "P", kind: str = "ADT") -> str:
    """A header."""
    return f"MSH|^~\\&|ENGINE|{facility}|GATEWAY||20260301120000||{kind}^{event}|{control}|{processing}|2.5.1"


def evn(event: str, at: str = "20260301120000+0000") -> str:
    """The event and when it was recorded."""
    return f"EVN|{event}|{at}"


def pid(value: str, *, family: str = canary.FAMILY, national: str = "", born: str = "19800203") -> str:
    """A patient, known by that value at the sender."""
    more = f"~{national}^^^&{NATIONAL_OID}&ISO^NI" if national else ""
    name = f"{family}^{canary.GIVEN}^^^^^L"
    return f"PID|1||{value}^^^^MR{more}||{name}||{born}|F|||1 Some Way^^Town^^8000^CH^H||+41 44 000 00 00^PRN^PH"


def adt(event: str, value: str, *, at: str = "20260301120000+0000", **changes: str) -> tuple[str, str, str]:
    """A message about one patient."""
    return msh(event), evn(event, at), pid(value, **changes)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The exchange and its senders."""
    engine = Engine()
    yield engine
    engine.stop()


@pytest.mark.parametrize("event", ["A01", "A04", "A05", "A08", "A28", "A31"])
def test_a_patient_is_found_once_the_message_is_acknowledged(engine: Engine, event: str) -> None:
    """Each event that says who a patient is; the acknowledgement repeats the control id."""
    ack = engine.send(*adt(event, f"in-{event}"))

    assert ack[0][8] == f"ACK^{event}^ACK"
    assert ack[1] == ["MSA", "AA", "C1"]
    found = engine.person(f"in-{event}")
    assert found is not None
    assert (found["birthDate"], found["gender"], found["name"][0]["family"]) == ("1980-02-03", "female", canary.FAMILY)
    assert found["address"][0]["postalCode"] == "8000"


def test_a_later_message_revises_and_one_sent_again_changes_nothing(engine: Engine) -> None:
    """A31 after A28; the same bytes again are accepted, and the history doesn't grow."""
    engine.send(*adt("A28", "rev-1"))
    revised = adt("A31", "rev-1", at="20260302120000+0000", born="19810203")
    engine.send(*revised)
    before = engine.exchange.gateway.run_json("patients", "show", f"{domain_of('north')}|rev-1")

    assert answer_of(engine.send(*revised)) == "AA"
    assert engine.exchange.gateway.run_json("patients", "show", f"{domain_of('north')}|rev-1") == before
    assert before["records"][0]["birthDate"] == "1981-02-03"


def test_a_message_that_was_overtaken_is_not_taken_in(engine: Engine) -> None:
    """The older of two, when it comes later, changes nothing, and its acknowledgement says so; over a restart too."""
    engine.send(*adt("A31", "ord-1", at="20260305120000+0000", born="19810203"))
    engine.server.stop()
    engine.server = engine.start()

    ack = engine.send(*adt("A31", "ord-1", at="20260305115959+0000", born="19790203"))

    assert answer_of(ack) == "AA"
    assert "older" in ack[1][3]
    found = engine.person("ord-1")
    assert found is not None
    assert found["birthDate"] == "1981-02-03"


def test_a_merge_leads_to_the_survivor(engine: Engine) -> None:
    """A40: the prior identifier is nobody's, its person is the survivor's, and sending it again changes nothing."""
    engine.send(*adt("A28", "m-old"))
    engine.send(*adt("A28", "m-new"))
    old, new = engine.person("m-old"), engine.person("m-new")
    merge = (msh("A40"), evn("A40"), pid("m-new"), "MRG|m-old^^^^MR")
    assert old is not None
    assert new is not None

    assert answer_of(engine.send(*merge)) == "AA"
    assert answer_of(engine.send(*merge)) == "AA"
    assert engine.exchange.get(f"/Patient/{old['id']}").json()["id"] == new["id"]
    shown = engine.exchange.gateway.run_json("patients", "show", f"{domain_of('north')}|m-new")
    assert [one["active"] for one in shown["records"]] == [False, True]


def test_a_patient_gets_another_identifier(engine: Engine) -> None:
    """A47: who was known by the old one is known by the new one, with all that was known."""
    engine.send(*adt("A28", "id-old", national="N-47"))
    old = engine.person("id-old")
    change = (msh("A47"), evn("A47"), "PID|1||id-new^^^^MR||", "MRG|id-old^^^^MR")

    assert answer_of(engine.send(*change)) == "AA"
    new = engine.person("id-new")
    assert old is not None
    assert new is not None
    assert new["id"] == old["id"]
    assert new["birthDate"] == "1980-02-03"


def test_two_records_are_linked_and_parted(engine: Engine) -> None:
    """A24 makes two of the facility's records one person's, A37 two persons' again."""
    engine.send(*adt("A28", "l-1"))
    engine.send(*adt("A28", "l-2"))
    pids = (pid("l-1"), "PID|2||l-2^^^^MR")

    assert answer_of(engine.send(msh("A24"), evn("A24"), *pids)) == "AA"
    one, other = engine.person("l-1"), engine.person("l-2")
    assert answer_of(engine.send(msh("A37"), evn("A37"), *pids)) == "AA"
    parted, apart = engine.person("l-1"), engine.person("l-2")

    assert None not in (one, other, parted, apart)
    assert one["id"] == other["id"]  # type: ignore[index]
    assert parted["id"] != apart["id"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("segments", "answer", "condition"),
    [
        ((msh("A08", kind="ORU"), pid("no-1")), "AR", "200"),
        ((msh("A02"), pid("no-1")), "AR", "201"),
        ((msh("A08", processing="T"), pid("no-1")), "AR", "202"),
        ((msh("A08", facility="nowhere"), pid("no-1")), "AR", "103"),
        ((msh("A08", control=""), pid("no-1")), "AR", "101"),
        ((msh("A08"),), "AE", "100"),
        ((msh("A08"), "PID|1||||Name^Given"), "AE", "101"),
        ((msh("A08"), "PID|1||no-1^^^&9.9.9&ISO||Name^Given"), "AE", "101"),
        ((msh("A08"), pid("no-1", born="19801345")), "AE", "102"),
        ((msh("A08"), pid("no-1", born="soon")), "AE", "102"),
        ((msh("A40"), pid("no-1")), "AE", "100"),
        ((msh("A40"), pid("no-1"), "MRG|no-1^^^^MR"), "AE", "102"),
        ((msh("A24"), pid("no-1"), pid("no-2")), "AE", "102"),
        (("PID|1||no-1",), "AR", "100"),
    ],
)
def test_what_is_not_taken_in_is_refused_with_its_reason(
    engine: Engine, segments: tuple[str, ...], answer: str, condition: str
) -> None:
    """By the codes of HL7 table 0357, in words that quote nothing of the message; nothing is stored."""
    ack = engine.send(*segments)

    assert (answer_of(ack), ack[2][3].partition("^")[0]) == (answer, condition)
    canary.record(str(ack), "an acknowledgement")
    assert engine.person("no-1") is None


def test_a_facility_speaks_of_its_own_domain_alone(engine: Engine) -> None:
    """Another facility's identifier beside its own is left out; as the only one it is refused."""
    south = domain_of("south").removeprefix("urn:oid:")
    beside = f"PID|1||own-1^^^^MR~theirs-1^^^&{south}&ISO||{canary.FAMILY}^{canary.GIVEN}"

    assert answer_of(engine.send(msh("A28"), beside)) == "AA"
    found = engine.person("own-1")
    assert found is not None
    assert {one["system"] for one in found["identifier"]} == {domain_of("north")}
    assert engine.person("theirs-1", "south") is None


def test_a_message_that_is_cut_off_was_not_sent(engine: Engine) -> None:
    """The connection ends in the middle: nothing is stored, and the next one is served."""
    whole = "\r".join(adt("A28", "cut-1")).encode()
    with MllpSender(engine.port) as sender:
        sender.only_send(START + whole[:-20])

    assert answer_of(engine.send(*adt("A28", "cut-2"))) == "AA"
    assert engine.person("cut-1") is None


def test_what_is_no_mllp_ends_the_connection_alone(engine: Engine) -> None:
    """Bytes without a start, and a message beyond the limit."""
    for sent in (b"GET / HTTP/1.1\r\n\r\n" + END, START + b"x" * 1_100_000):
        with MllpSender(engine.port) as sender, pytest.raises(ConnectionError):
            sender.send_bytes(sent)

    assert answer_of(engine.send(*adt("A28", "after-1"))) == "AA"


def test_messages_on_one_connection_are_taken_in_in_their_order(engine: Engine) -> None:
    """Many in one go, without waiting: each is acknowledged in turn, and the last one holds."""
    messages = [adt("A31", "seq-1", born=f"19800{month}03") for month in range(1, 8)]
    sent = b"".join(START + "\r".join(message).encode() + b"\r" + END for message in messages)
    with MllpSender(engine.port) as sender:
        answers = [answer_of(sender.send_bytes(sent)), *(answer_of(sender.send_bytes(b"")) for _ in messages[1:])]

    assert answers == ["AA"] * 7
    found = engine.person("seq-1")
    assert found is not None
    assert found["birthDate"] == "1980-07-03"


def test_many_senders_at_once_lose_nothing(engine: Engine) -> None:
    """Eight connections, each with patients of its own and one that all speak of: everything acknowledged is stored."""
    answers: list[str] = []

    def run(number: int) -> None:
        with MllpSender(engine.port) as sender:
            for step in range(5):
                shared = adt("A31", "all-1", at=f"202604011200{number}{step}+0000", born=f"19800{number}{step + 10}")
                answers.append(answer_of(sender.send(*adt("A28", f"many-{number}-{step}"))))
                answers.append(answer_of(sender.send(*shared)))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == ["AA"] * 50
    assert all(engine.person(f"many-{number}-{step}") for number in range(1, 6) for step in range(5))
    found = engine.person("all-1")
    assert found is not None
    assert found["birthDate"] == "1980-05-14"


def test_what_was_answered_is_counted_for_operators(engine: Engine) -> None:
    """On an address of its own, by the acknowledgement, without a patient's value."""
    engine.send(*adt("A28", "met-1"))
    engine.send(msh("A02"), pid("met-2"))

    text = requests.get(f"http://127.0.0.1:{engine.metrics_port}/metrics", timeout=5).text

    counted = {line.partition(" ")[0] for line in text.splitlines() if line.startswith("gateway_adt_messages_total")}
    assert counted >= {'gateway_adt_messages_total{answer="AA"}', 'gateway_adt_messages_total{answer="AR"}'}
    canary.record(text, "the metrics of adt serve")


def test_what_a_feed_did_is_in_the_audit(engine: Engine) -> None:
    """By the facility whose engine sent it; a sender who is nobody's is a refusal."""
    engine.send(*adt("A28", "aud-1"))
    done = engine.exchange.audit()[-1]
    engine.send(msh("A28", facility="nowhere"), pid("aud-2"))
    refused = engine.exchange.audit()[-1]

    assert (done["kind"], done["reason"], done["who"]["organization"]) == ("patient-feed", "patient filed", "north")
    assert (refused["kind"], refused["outcome"]) == ("access-refused", "refused")
