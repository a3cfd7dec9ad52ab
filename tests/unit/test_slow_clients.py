"""The end of a connection: what was said arrives, and who stays on is not waited for long."""

import socket

from gateway.slow_clients import part


def test_what_was_said_arrives_although_the_client_was_still_sending() -> None:
    """Its bytes are read and passed over: unread, they would take the answer with them."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname(), timeout=10)
        ours, _ = listening.accept()
    with client, ours:
        client.sendall(b"x" * 30_000)
        ours.sendall(b"no")
        part(ours)
        ours.close()
        assert client.recv(10) == b"no"
        assert client.recv(10) == b""


def test_a_connection_that_is_gone_is_over() -> None:
    """Closed by the client, or by us already: nothing is raised."""
    one, other = socket.socketpair()
    other.close()
    part(one)
    one.close()
    part(one)
