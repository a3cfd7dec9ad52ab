"""Clients that never finish their request: they hold a thread for seconds, not for ever."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import requests

from tests.services.gateway import Gateway

THREADS = 4


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway with four threads."""
    gateway = make_gateway(GATEWAY_THREADS=str(THREADS))
    gateway.start()
    return gateway


@pytest.mark.slow
@pytest.mark.parametrize(
    "begun",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-",
        b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 500\r\n\r\ngrant_type=",
    ],
    ids=["half a header", "half a body"],
)
def test_requests_that_are_never_finished_do_not_stop_the_gateway(gateway: Gateway, begun: bytes) -> None:
    """As many of them as there are threads, and more: within seconds others are served again."""
    with ExitStack() as held:
        for _ in range(2 * THREADS):
            client = held.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
            client.sendall(begun)
        time.sleep(0.5)

        started = time.monotonic()
        answer = requests.get(f"{gateway.url}/livez", timeout=60)

        assert answer.status_code == 200
        assert time.monotonic() - started < 35


def test_clients_that_keep_a_connection_that_is_over_hold_up_no_others(gateway: Gateway) -> None:
    """They were told that it closes, and don't close it: taking in others doesn't wait for one after the other."""
    with ExitStack() as held:
        for _ in range(3 * THREADS):
            client = held.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        assert requests.get(f"{gateway.url}/livez", timeout=18).status_code == 200
        assert client.recv(12) == b"HTTP/1.1 200"


def test_a_request_in_pieces_that_arrives_in_time_is_answered(gateway: Gateway) -> None:
    """Slow is not refused; too slow is."""
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        for piece in (b"GET /livez HTTP/1.1\r\n", b"Host: x\r\n", b"Connection: close\r\n", b"\r\n"):
            client.sendall(piece)
            time.sleep(0.5)
        answer = b""
        while received := client.recv(4096):
            answer += received

    assert answer.startswith(b"HTTP/1.1 200")
