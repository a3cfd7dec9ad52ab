"""HL7 v2 messages are read one way, whatever their separators and character set, and acknowledged safely."""

from datetime import UTC, datetime

import pytest

from gateway.hl7v2.acknowledge import acknowledge
from gateway.hl7v2.message import Header, read_message
from gateway.hl7v2.refusal import MessageRefused

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def a_message(*segments: str, charset: str = "", encoding: str = "utf-8") -> bytes:
    """The bytes of a message with a header and these segments."""
    header = f"MSH|^~\\&|ENGINE|north^1.2.3^ISO|GATEWAY||20260301120000||ADT^A08^ADT_A01|C1|P|2.5.1||||||{charset}"
    return "\r".join((header, *segments)).encode(encoding)


def test_the_header_says_who_what_and_how() -> None:
    """MSH-3, -4, -7, -9, -10, -11, -12 by their numbers."""
    header = read_message(a_message()).header

    assert header == Header(
        application="ENGINE",
        facility=("north", "1.2.3", "ISO"),
        time="20260301120000",
        type="ADT",
        event="A08",
        control_id="C1",
        processing="P",
        version="2.5.1",
    )


def test_separators_are_those_the_message_states() -> None:
    """MSH-1 and MSH-2 may be any characters."""
    message = read_message(b"MSH#*!\\%#A#north###20260301##ADT*A08#C1#P#2.3\rPID###1*x!2##Fam%ily*Given")
    ((_, pid),) = message.named("PID")

    assert message.header.event == "A08"
    assert pid.repetitions(3) == [("1", "x"), ("2",)]
    assert pid.subcomponents(pid.repetitions(5)[0][0]) == ["Fam", "ily"]


def test_escapes_are_undone_and_a_null_is_nothing() -> None:
    r"""`\T\` is an ampersand, and `""` says that there is no value now."""
    ((_, pid),) = read_message(a_message('PID|||1||Fish\\T\\Chips^""')).named("PID")

    assert pid.repetitions(5) == [("Fish\\T\\Chips", "")]
    assert pid.subcomponents(pid.repetitions(5)[0][0]) == ["Fish&Chips"]
    assert (pid.first(8), pid.first(99)) == ("", "")


@pytest.mark.parametrize(
    ("charset", "encoding"), [("", "utf-8"), ("UNICODE UTF-8", "utf-8"), ("8859/1", "latin-1"), ("8859/2", "iso8859-2")]
)
def test_the_character_set_is_the_one_of_msh_18(charset: str, encoding: str) -> None:
    """UTF-8 where none is stated."""
    ((_, pid),) = read_message(a_message("PID|||1||Müller", charset=charset, encoding=encoding)).named("PID")

    assert pid.first(5) == "Müller"


@pytest.mark.parametrize(
    ("block", "condition"),
    [
        (b"", "100"),
        (b"PID|1", "100"),
        (b"MSH", "100"),
        (b"MSH|^~\\&|\xff\xfe", "102"),
        (a_message(charset="EBCDIC"), "103"),
    ],
)
def test_what_is_no_message_is_rejected(block: bytes, condition: str) -> None:
    """AR, since it can't be processed at all."""
    with pytest.raises(MessageRefused) as refused:
        read_message(block)

    assert (refused.value.answer, refused.value.condition) == ("AR", condition)


def test_an_acknowledgement_repeats_nothing_that_could_be_taken_for_a_segment() -> None:
    """A control id with separators and line breaks comes back escaped, within its field."""
    header = Header(control_id="1|AA\rMSA|AA|2", event="A08", facility=("nor|th",), version="2.3")
    sent = acknowledge(header, "AE", "G1", NOW, condition="102", words="field 3: a|b").decode()

    lines = sent.split("\r")
    assert [line[:3] for line in lines] == ["MSH", "MSA", "ERR", ""]
    assert lines[1].split("|")[1:3] == ["AE", "1\\F\\AA MSA\\F\\AA\\F\\2"]
    assert lines[0].split("|")[11] == "2.3"
    assert lines[2].split("|")[3] == "102^Data type error^HL70357"
    read_message(sent.encode())
