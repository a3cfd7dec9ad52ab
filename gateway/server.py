"""The production server: gunicorn with threads, started from the settings.

gunicorn because it parses HTTP strictly (security T119) and drains on SIGTERM; threads because a query waits for
facilities, in libcurl, with the interpreter free. `docs/decisions/0003-gunicorn-threads.md` has the measurement.
"""

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from gateway import __version__, log
from gateway.config import Settings

MOST_REQUEST_LINE_BYTES = 8190
GRACE_S = 30


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn ships no types
    """One gunicorn, without files or environment of its own: the settings say all there is to say."""

    def __init__(self, settings: Settings, make_app: Callable[[], Flask]) -> None:
        self._settings = settings
        self._make_app = make_app
        super().__init__()

    def load_config(self) -> None:
        """Translate the settings to gunicorn's."""
        host = f"[{self._settings.listen_host}]" if ":" in self._settings.listen_host else self._settings.listen_host
        for name, value in {
            "bind": [f"{host}:{self._settings.listen_port}"],
            "worker_class": "gthread",
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
            "post_worker_init": _started,
            "worker_exit": _stopping,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application, made anew in each worker process: no connection is shared across a fork."""
        return self._make_app()


class QuietLogger:
    """gunicorn's own messages, without the request lines that some of them quote."""

    def __init__(self, cfg: Any) -> None:
        self._level = logging.WARNING

    def _say(self, level: int, message: str) -> None:
        # gunicorn's texts may hold a request line or header: only that it spoke is kept.
        log.event(log.Event.SERVER_MESSAGE, level=level, reason=message.split("%", 1)[0][:80])

    def critical(self, msg: str, *_: Any, **__: Any) -> None:
        self._say(logging.CRITICAL, msg)

    def error(self, msg: str, *_: Any, **__: Any) -> None:
        self._say(logging.ERROR, msg)

    def warning(self, msg: str, *_: Any, **__: Any) -> None:
        self._say(logging.WARNING, msg)

    def exception(self, msg: str, *_: Any, **__: Any) -> None:
        self._say(logging.ERROR, msg)

    def info(self, *_: Any, **__: Any) -> None:
        """Not kept: the gateway says itself when it starts and stops."""

    def debug(self, *_: Any, **__: Any) -> None:
        """Not kept."""

    def log(self, lvl: int, msg: str, *_: Any, **__: Any) -> None:
        if isinstance(lvl, int) and lvl >= logging.WARNING:
            self._say(lvl, msg)

    def access(self, *_: Any, **__: Any) -> None:
        """Not kept: the gateway's own request event has the route and never the query."""

    def reopen_files(self) -> None:
        """There are none."""

    def close_on_exec(self) -> None:
        """There are none."""


def _started(worker: Any) -> None:
    log.event(log.Event.STARTED, worker=worker.pid, version=__version__)


def _stopping(_server: Any, worker: Any) -> None:
    log.event(log.Event.STOPPING, worker=worker.pid)
    close = worker.app.wsgi().extensions.get("gateway.close") if worker.app.callable else None
    if close:
        close()


def serve(settings: Settings, make_app: Callable[[], Flask]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way."""
    log.set_up()
    Server(settings, make_app).run()
