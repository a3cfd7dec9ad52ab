"""Tests reach loopback and nothing else."""

import socket

import pytest

from tests import network_guard
from tests.network_guard import BeyondLoopback


def _forget_the_last() -> None:
    # What this test provoked on purpose is not held against it.
    network_guard.refused.pop()


def test_another_machine_is_refused_before_a_packet_leaves() -> None:
    """A connection to a routable address raises, and is remembered for the test's end."""
    with socket.socket() as outgoing, pytest.raises(BeyondLoopback):
        outgoing.connect(("192.0.2.1", 80))
    assert network_guard.refused[-1] == "192.0.2.1:80"
    _forget_the_last()


def test_a_name_that_could_be_someones_is_not_looked_up() -> None:
    """A look-up of a public name raises."""
    with pytest.raises(BeyondLoopback):
        socket.getaddrinfo("www.hl7.org", 443)
    _forget_the_last()


@pytest.mark.parametrize("name", ["pacs.invalid", "north.example", "www.example.com", "archive.test"])
def test_names_for_examples_are_nobodys(name: str) -> None:
    """They fail as an unknown name does, without asking anyone."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(name, 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", ""])
def test_loopback_is_free(host: str) -> None:
    """This machine's own addresses are not refused."""
    assert network_guard.is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "fe80::1%eth0", "::ffff:8.8.8.8", "archive"])
def test_everything_else_is_not_loopback(host: str) -> None:
    """Private, link-local and mapped addresses are other machines."""
    assert not network_guard.is_loopback(host)
