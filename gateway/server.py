"""The production server: gunicorn with threads, started from the settings.

gunicorn because it parses HTTP strictly (security T119) and drains on SIGTERM; threads because a query waits for
facilities, in libcurl, with the interpreter free. `docs/decisions/0003-gunicorn-threads.md` has the measurement.
What gunicorn lets pass and should not is refused here, and nothing of a refused request is quoted.
"""

import gc
import logging
import signal
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.http import errors as http_errors
from gunicorn.util import write_nonblock
from gunicorn.workers.gthread import ThreadWorker
from werkzeug.exceptions import BadRequest

from gateway import __version__, log
from gateway.config import Settings
from gateway.listening import listen
from gateway.slow_clients import BODY_WITHIN_S, HEADERS_WITHIN_S, ReadingDeadlines, part

MOST_REQUEST_LINE_BYTES = 8190
GRACE_S = 30
_OBJECTS_BETWEEN_COLLECTIONS = 50_000
_REFUSALS: tuple[tuple[type[Exception], str], ...] = (
    (http_errors.LimitRequestLine, "414 URI Too Long"),
    (http_errors.LimitRequestHeaders, "431 Request Header Fields Too Large"),
    (http_errors.ExpectationFailed, "417 Expectation Failed"),
    (http_errors.UnsupportedTransferCoding, "501 Not Implemented"),
    (http_errors.ParseException, "400 Bad Request"),
    (Exception, "500 Internal Server Error"),
)

_SIGNALS = frozenset(signal.Signals.__members__)

READING = ReadingDeadlines()

Environ = dict[str, Any]
WSGIApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """One gunicorn, without files or environment of its own: the settings say all there is to say."""

    def __init__(self, settings: Settings, make_app: Callable[[], Flask], listening: int) -> None:
        self._settings = settings
        self._listening = listening
        self._make_app = make_app
        super().__init__()

    def load_config(self) -> None:
        """Translate the settings to gunicorn's."""
        for name, value in {
            "bind": [f"fd://{self._listening}"],
            "worker_class": "gateway.server.StrictWorker",
            "workers": self._settings.workers,
            "threads": self._settings.threads,
            "keepalive": 65,
            "timeout": max(30, int(self._settings.deadline.total_seconds()) * 2),
            "graceful_timeout": GRACE_S,
            "limit_request_line": MOST_REQUEST_LINE_BYTES,
            "limit_request_field_size": 16_380,
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "forwarder_headers": "",
            "control_socket_disable": True,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "logger_class": "gateway.server.QuietLogger",
            "proc_name": "gateway",
            "pre_request": _require_one_target,
            "post_worker_init": _started,
            "worker_exit": _stopping,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application, made anew in each worker process: no connection is shared across a fork."""
        app = self._make_app()
        app.wsgi_app = _with_readable_body(app.wsgi_app)  # type: ignore[assignment]  # how Flask is wrapped
        return app


class StrictWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Refuses what is no HTTP in few words: gunicorn's own page and log line repeat what the client sent.

    A request has to arrive in time, its headers and then its body, or its connection ends.
    """

    def handle(self, conn: Any) -> Any:
        """One request of a connection is answered, or the connection is over."""
        READING.begin(conn.sock, HEADERS_WITHIN_S)
        try:
            goes_on = super().handle(conn)
        finally:
            READING.end(conn.sock)
        if not goes_on:
            # gunicorn would wait for the client on the one thread that takes in all connections.
            part(conn.sock)
        return goes_on

    def handle_request(self, req: Any, conn: Any) -> Any:
        """The headers are here; what has a body gets more time for it."""
        has_body = any(name in ("CONTENT-LENGTH", "TRANSFER-ENCODING") and value != "0" for name, value in req.headers)
        if has_body:
            READING.begin(conn.sock, BODY_WITHIN_S)
        else:
            READING.end(conn.sock)
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """The client is told by a status alone that its request was refused, and the log by the error's name."""
        refused = isinstance(exc, http_errors.ParseException)
        log.event(
            log.Event.SERVER_MESSAGE,
            level=logging.WARNING if refused else logging.ERROR,
            exc_info=not refused,
            error=type(exc).__name__,
        )
        status = next(status for error, status in _REFUSALS if isinstance(exc, error))
        head = f"HTTP/1.1 {status}\r\nX-Request-Id: {uuid.uuid4()}\r\nCache-Control: no-store\r\n"
        try:
            write_nonblock(client, f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        except OSError:
            return  # the client has gone, which is its right


def _require_one_target(_worker: Any, req: Any) -> None:
    """The request names one host, once. Raises gunicorn's InvalidRequestLine otherwise (RFC 9112 §3.2, §3.2.2)."""
    hosts = [value for name, value in req.headers if name == "HOST"]
    if len(hosts) != 1 and (hosts or req.version >= (1, 1)):
        raise http_errors.InvalidRequestLine("")
    if not req.uri.startswith("/") and req.uri != "*":
        target = urlsplit(req.uri)
        if target.scheme not in ("http", "https") or [target.netloc.lower()] != [host.lower() for host in hosts]:
            raise http_errors.InvalidRequestLine("")


class _ReadableBody:
    """A request's body; that its chunks can't be read is the client's fault and no error of ours (RFC 9112 §7.1)."""

    def __init__(self, body: Any, length: int | None, connection: Any, *, chunked: bool) -> None:
        self._body = body
        self._left = length
        self._connection = connection
        self.read_whole = not length and not chunked
        """Whether what comes next on the connection is another request."""

    def read(self, size: int = -1) -> bytes:
        try:
            read: bytes = self._body.read(size)
        except http_errors.ParseException as exc:
            raise BadRequest from exc
        if self._left is not None:
            self._left -= len(read)
        if not read or (self._left is not None and self._left <= 0):
            READING.end(self._connection)
            self.read_whole = True
        return read


def _with_readable_body(app: WSGIApp) -> WSGIApp:
    def wrapped(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH", "")
        expected = int(length) if length.isdecimal() else None
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        body = _ReadableBody(environ["wsgi.input"], expected, environ["gunicorn.socket"], chunked=chunked)
        environ["wsgi.input"] = body

        def start(*told: Any) -> Any:
            if not body.read_whole:
                # Its rest is not read either, so the connection ends: the client is told (RFC 9112 §9.6). gunicorn
                # passes over an application's `Connection`; its response, whose method this is, says it itself.
                start_response.__self__.force_close()  # type: ignore[attr-defined]  # a method of gunicorn's Response
            return start_response(*told)

        return app(environ, start)

    return wrapped


class QuietLogger:
    """gunicorn's own messages, without the request lines that some of them quote."""

    def __init__(self, cfg: Any) -> None:
        self._level = logging.WARNING

    def _say(self, level: int, message: object, arguments: tuple[object, ...]) -> None:
        log.event(log.Event.SERVER_MESSAGE, level=level, reason=_in_our_words(message, arguments))

    def critical(self, msg: object, *args: object, **_: Any) -> None:
        self._say(logging.CRITICAL, msg, args)

    def error(self, msg: object, *args: object, **_: Any) -> None:
        self._say(logging.ERROR, msg, args)

    def warning(self, msg: object, *args: object, **_: Any) -> None:
        self._say(logging.WARNING, msg, args)

    def exception(self, msg: object, *args: object, **_: Any) -> None:
        self._say(logging.ERROR, msg, args)

    def info(self, *_: Any, **__: Any) -> None:
        """Not kept: the gateway says itself when it starts and stops."""

    def debug(self, *_: Any, **__: Any) -> None:
        """Not kept."""

    def log(self, lvl: int, msg: object, *args: object, **_: Any) -> None:
        if isinstance(lvl, int) and lvl >= logging.WARNING:
            self._say(lvl, msg, args)

    def access(self, *_: Any, **__: Any) -> None:
        """Not kept: the gateway's own request event has the route and never the query."""

    def reopen_files(self) -> None:
        """There are none."""

    def close_on_exec(self) -> None:
        """There are none."""


def _in_our_words(message: object, arguments: tuple[object, ...]) -> str:
    """gunicorn's message with its numbers and the names of signals; any other text in it may be a client's."""
    if not isinstance(message, str):
        return type(message).__name__  # an exception, whose words may quote a request
    shown = tuple(one if isinstance(one, int) or str(one) in _SIGNALS else "…" for one in arguments)
    try:
        return message % shown if shown else message
    except (TypeError, ValueError):
        return message.partition("%")[0].rstrip(" :(") + " …"


def _started(worker: Any) -> None:
    # What the application is made of stays; a query makes ten thousand objects that go when it ends, with hardly a
    # cycle among them. Looking for cycles as often as Python does by itself takes a tenth of a worker's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 20, 50)
    worker.app.wsgi().extensions["gateway.start"]()
    log.event(log.Event.STARTED, worker=worker.pid, version=__version__)


def _stopping(_server: Any, worker: Any) -> None:
    log.event(log.Event.STOPPING, worker=worker.pid)
    close = worker.app.wsgi().extensions.get("gateway.close") if worker.app.callable else None
    if close:
        close()


def serve(settings: Settings, make_app: Callable[[], Flask]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way. Raises where the settings' address can't be had."""
    # Opened here, since gunicorn tries for five seconds and says each time that it failed.
    socket = listen(settings.listen_host, settings.listen_port, setting="GATEWAY_LISTEN")
    log.set_up()
    Server(settings, make_app, socket.detach()).run()
