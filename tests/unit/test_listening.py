"""Why a process can't listen, in words that say what to mend."""

import errno
import socket

import pytest

from gateway.errors import ConfigurationError
from gateway.listening import PortTaken, cannot_listen, listen


def test_a_port_that_is_taken_is_no_matter_of_the_settings() -> None:
    """Whoever sits there may go."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"GATEWAY_LISTEN: 127.0.0.1:{port} is in use"):
            listen("127.0.0.1", port, setting="GATEWAY_LISTEN")


@pytest.mark.parametrize(
    ("exc", "words"),
    [
        (OSError(errno.EACCES, "x"), "no right; choose one above 1023"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "not an address of this machine"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "not an address of this machine"),
        (OSError(socket.EAI_NONAME, "x"), "not an address of this machine"),
        (OSError(errno.EMFILE, "x"), r"can't be listened on \(error 24\)"),
    ],
)
def test_an_address_that_never_works_is_a_matter_of_the_settings(exc: OSError, words: str) -> None:
    """The setting and its value are named, with what to choose in its place."""
    told = cannot_listen(exc, "192.0.2.1", 80, setting="GATEWAY_ADT_LISTEN")
    assert isinstance(told, ConfigurationError)
    with pytest.raises(ConfigurationError, match=words):
        raise told
    assert told.reason.startswith("GATEWAY_ADT_LISTEN: 192.0.2.1:80 ")


def test_what_listens_accepts_connections() -> None:
    """IPv6 as well, where the machine has it."""
    for host in ("127.0.0.1", "::1"):
        with listen(host, 0, setting="GATEWAY_LISTEN") as listening:
            socket.create_connection(listening.getsockname()[:2], timeout=2).close()
