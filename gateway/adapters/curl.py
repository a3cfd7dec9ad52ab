"""HTTP by libcurl: many exchanges at once on one multi handle, within time and size limits that nothing can stretch.

Only what is asked for happens: no redirect, no proxy, no `.netrc`, no other protocol, no re-encoding of a URL; nothing
in the environment changes that. Connections are kept and reused; where a kept one turns out dead, libcurl asks again
by itself (RFC 9112 §9.3.1).
"""

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import pycurl
from certifi import where

from gateway.adapters.base import ExchangeFailure, HTTPExchange, HTTPResult
from gateway.adapters.http import MOST_BYTES_A_FACILITY, Allowance, Terms
from gateway.turnstile import turnstile

ACCEPT = "Accept: application/dicom+json"
USER_AGENT = "imaging-exchange-gateway"
MOST_SECONDS_TO_CONNECT = 2.0
_MOST_KEPT_CONNECTIONS = 128
_MOST_IDLE_HANDLES = 256
_BACKSTOP_S = 0.5
"""The caller's deadline comes first, so that what has arrived is read; libcurl's own limit stands behind it."""
_SYSTEM_CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

_FAILURES: dict[int, ExchangeFailure] = {
    pycurl.E_OPERATION_TIMEDOUT: "timed_out",
    pycurl.E_FILESIZE_EXCEEDED: "too_large",
    pycurl.E_BAD_CONTENT_ENCODING: "unreadable",
    pycurl.E_HTTP2: "unreadable",
    pycurl.E_UNSUPPORTED_PROTOCOL: "unreadable",
    pycurl.E_URL_MALFORMAT: "unreadable",
    8: "unreadable",  # CURLE_WEIRD_SERVER_REPLY, a name that pycurl has had under two spellings
}
_POLL_MASKS = (0, select.POLLIN, select.POLLOUT, select.POLLIN | select.POLLOUT)
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class CurlTransport:
    """A libcurl multi, for one thread at a time (`a_transport`)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._multi = pycurl.CurlMulti()
        # libcurl tells which sockets it waits for and `poll` watches them: `CurlMulti.select` can't see descriptors
        # above 1023, and a server with many clients has those.
        self._poll = select.poll()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, _MOST_KEPT_CONNECTIONS)
        self._timer_at: float | None = None
        self._tickets = 0
        self._under_way: dict[int, _Handle] = {}
        self._by_curl: dict[pycurl.Curl, _Handle] = {}
        self._ended: list[tuple[int, HTTPResult]] = []
        self._idle: dict[Terms, list[_Handle]] = {}
        self._idle_count = 0

    def start(self, exchange: HTTPExchange, terms: Terms, seconds: float, allowance: Allowance) -> int:
        """Begin an exchange; its ticket."""
        self._tickets += 1
        ticket = self._tickets
        handle = self._take_idle(terms)
        try:
            handle.prepare(ticket, exchange, seconds, allowance)
            self._multi.add_handle(handle.curl)
        except (pycurl.error, ValueError, TypeError):
            handle.curl.close()
            self._ended.append((ticket, HTTPResult(failure="unreadable")))
            return ticket
        self._under_way[ticket] = handle
        self._by_curl[handle.curl] = handle
        return ticket

    def wait(self, seconds: float) -> list[tuple[int, HTTPResult]]:
        """The exchanges that have ended since, waiting for at most `seconds` and not at all where some have."""
        self._work(0 if self._ended else seconds)
        ended, self._ended = self._ended, []
        return ended

    def abandon(self, ticket: int) -> None:
        """The exchange is over; its connection is closed."""
        handle = self._under_way.pop(ticket, None)
        if handle is not None:
            self._release(handle)

    def close(self) -> None:
        """Every connection is closed."""
        for ticket in list(self._under_way):
            self.abandon(ticket)
        for handles in self._idle.values():
            for handle in handles:
                handle.curl.close()
        self._idle.clear()
        self._multi.close()

    def _work(self, seconds: float) -> None:
        due = None if self._timer_at is None else self._timer_at - self._clock()
        if due is not None and due <= 0:
            self._timer_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            seconds = 0
        elif due is not None:
            seconds = min(seconds, due)
        events = self._poll.poll(0)
        if not events and seconds > 0:
            with turnstile.outside():
                # Rounded up: a wait that ends a moment too soon would be waited again, and again.
                events = self._poll.poll(int(seconds * 1000) + 1)
        for descriptor, event in events:
            ready = (pycurl.CSELECT_IN if event & _READABLE else 0) | (
                pycurl.CSELECT_OUT if event & select.POLLOUT else 0
            )
            self._multi.socket_action(descriptor, ready)
        self._gather()

    def _gather(self) -> None:
        while True:
            queued, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                self._end(curl, None)
            for curl, code, _words in failed:
                self._end(curl, code)
            if not queued:
                return

    def _end(self, curl: pycurl.Curl, code: int | None) -> None:
        handle = self._by_curl[curl]
        self._ended.append((handle.ticket, handle.result(code)))
        del self._under_way[handle.ticket]
        self._release(handle)

    def _release(self, handle: "_Handle") -> None:
        self._multi.remove_handle(handle.curl)
        del self._by_curl[handle.curl]
        handle.forget()
        if handle.posted or self._idle_count >= _MOST_IDLE_HANDLES:
            handle.curl.close()
            return
        self._idle.setdefault(handle.terms, []).append(handle)
        self._idle_count += 1

    def _take_idle(self, terms: Terms) -> "_Handle":
        idle = self._idle.get(terms)
        if idle:
            self._idle_count -= 1
            return idle.pop()
        if self._idle_count >= _MOST_IDLE_HANDLES:
            # Terms that are no longer used (a facility's new password) must not keep their handles for ever.
            for handles in self._idle.values():
                for handle in handles:
                    handle.curl.close()
            self._idle.clear()
            self._idle_count = 0
        return _Handle(terms)

    def _watch(self, what: int, descriptor: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        if what != pycurl.POLL_REMOVE:
            self._poll.register(descriptor, _POLL_MASKS[what])
            return
        try:
            self._poll.unregister(descriptor)
        except KeyError:
            return  # libcurl may say goodbye to a socket that it never waited for

    def _set_timer(self, milliseconds: int) -> None:
        self._timer_at = None if milliseconds < 0 else self._clock() + milliseconds / 1000


class _Handle:
    """A libcurl easy handle, and what has come in on it."""

    __slots__ = ("_allowance", "_body", "_headers", "_lines", "curl", "over", "posted", "terms", "ticket")

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.ticket = 0
        self.posted = False
        self.over = False
        self._allowance = Allowance(0)
        self._body: list[bytes] = []
        self._lines: list[bytes] = []
        self._headers: tuple[tuple[str, str], ...] = ()
        self.curl = pycurl.Curl()
        _set_fixed_options(self.curl, terms)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._write)
        # The list's own method: an answer has a dozen headers, and a function of ours would be called for each.
        self.curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        self._set_headers(())

    def prepare(self, ticket: int, exchange: HTTPExchange, seconds: float, allowance: Allowance) -> None:
        """Everything of the exchange is set; what came in before is forgotten."""
        self.ticket = ticket
        self.over = False
        self._allowance = allowance
        self.curl.setopt(pycurl.URL, exchange.url.encode())
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, int((seconds + _BACKSTOP_S) * 1000)))
        if exchange.headers != self._headers:
            self._set_headers(exchange.headers)
        if exchange.form is not None:
            self.posted = True
            self.curl.setopt(pycurl.POSTFIELDS, exchange.form)

    def result(self, code: int | None) -> HTTPResult:
        """What came back, `code` being libcurl's word for a failure."""
        if code is None:
            status: int = self.curl.getinfo(pycurl.RESPONSE_CODE)
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            return HTTPResult(status=status, body=body, headers=_warnings_in(self._lines))
        if self.over:
            return HTTPResult(failure="too_large")
        return HTTPResult(failure=_FAILURES.get(code, "unreachable"))

    def forget(self) -> None:
        """Nothing of an answer is kept between queries."""
        self._body = []
        self._lines.clear()

    def _set_headers(self, headers: tuple[tuple[str, str], ...]) -> None:
        stated = {name.lower() for name, _ in headers}
        lines = [f"{name}: {value}" for name, value in headers]
        if "accept" not in stated:
            lines.append(ACCEPT)
        if self.terms.authorization is not None and "authorization" not in stated:
            lines.append(f"Authorization: {self.terms.authorization}")
        self.curl.setopt(pycurl.HTTPHEADER, lines)
        self._headers = headers

    def _write(self, chunk: bytes) -> int:
        if not self._allowance.take(len(chunk)):
            self.over = True
            self._body = []
            return 0  # not what was offered: libcurl ends the transfer
        self._body.append(chunk)
        return len(chunk)


def _warnings_in(lines: list[bytes]) -> tuple[tuple[str, str], ...]:
    # Of all headers only this one says something about the answer: rows are missing (PS3.18 §8.3.4.4).
    warnings = [line for line in lines if line[0] in b"Ww" and line[:8].lower() == b"warning:"]
    return tuple([("warning", line[8:].decode("latin-1").strip()) for line in warnings])


def _set_fixed_options(curl: pycurl.Curl, terms: Terms) -> None:
    for option, value in (
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROXY, ""),
        (pycurl.NOPROXY, "*"),
        (pycurl.NETRC, pycurl.NETRC_IGNORED),
        (pycurl.NOSIGNAL, 1),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.ACCEPT_ENCODING, "gzip"),
        (pycurl.USERAGENT, USER_AGENT),
        (pycurl.CONNECTTIMEOUT_MS, int(MOST_SECONDS_TO_CONNECT * 1000)),
        (pycurl.MAXFILESIZE_LARGE, MOST_BYTES_A_FACILITY),
        (pycurl.TCP_KEEPALIVE, 1),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.CAINFO, terms.ca_file or system_ca_file()),
    ):
        curl.setopt(option, value)
    if terms.cert_file is not None:
        curl.setopt(pycurl.SSLCERT, terms.cert_file)
    if terms.key_file is not None:
        curl.setopt(pycurl.SSLKEY, terms.key_file)


@lru_cache(maxsize=1)
def system_ca_file() -> str:
    """The certificate authorities this machine trusts, or Mozilla's where it keeps no such file."""
    return next((path for path in _SYSTEM_CA_FILES if Path(path).is_file()), where())


_idle: list[CurlTransport] = []
"""The one used last is used next: its connections are open, and its memory is at hand."""


@contextmanager
def a_transport() -> Iterator[CurlTransport]:
    """A transport for this thread alone, with the connections that earlier queries left open."""
    try:
        transport = _idle.pop()
    except IndexError:
        transport = CurlTransport()
    try:
        yield transport
    finally:
        _idle.append(transport)
