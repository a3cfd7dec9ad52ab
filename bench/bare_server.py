"""The server that the limit and the glue run under: the gateway's own choice, with nothing of the gateway in it."""

import os

from flask import Flask
from gunicorn.app.base import BaseApplication


class BareServer(BaseApplication):  # type: ignore[misc]
    """gunicorn with threads, told by the environment where to listen and how many of each."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        super().__init__()

    def load_config(self) -> None:
        """The same worker class and limits for everyone that is compared."""
        for name, value in {
            "bind": [os.environ["BENCH_LISTEN"]],
            "worker_class": "gthread",
            "workers": int(os.environ["BENCH_WORKERS"]),
            "threads": int(os.environ["BENCH_THREADS"]),
            "keepalive": 65,
            "control_socket_disable": True,
            "loglevel": "error",
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application."""
        return self._app
