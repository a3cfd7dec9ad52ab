"""What gunicorn says of itself reaches the log in whole sentences, and nothing that a client sent does."""

import pytest

from gateway.server import _in_our_words


@pytest.mark.parametrize(
    ("message", "arguments", "kept"),
    [
        ("WORKER TIMEOUT (pid:%s)", (41,), "WORKER TIMEOUT (pid:41)"),
        ("Worker (pid:%s) was sent %s!", (41, "SIGKILL"), "Worker (pid:41) was sent SIGKILL!"),
        ("Error handling request %s", ("/fhir/r4/Patient?name=Zebra",), "Error handling request …"),
        ("Worker (pid:%d) left: %d", (41, "Zebra"), "Worker (pid …"),
        ("100% done", (), "100% done"),
        (ValueError("Zebra"), (), "ValueError"),
    ],
)
def test_numbers_and_signals_stay_and_other_words_do_not(
    message: object, arguments: tuple[object, ...], kept: str
) -> None:
    """A request line, a header or an exception's words are somebody else's."""
    assert _in_our_words(message, arguments) == kept
