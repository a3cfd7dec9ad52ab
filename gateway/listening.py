"""Can this process listen where the settings say? A socket that does, or one line that says what to mend."""

import errno
import socket

from gateway.errors import ConfigurationError, GatewayError

_BACKLOG = 2048
_NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL)


class PortTaken(GatewayError):
    """Another process listens there: nothing is wrong with the settings."""

    code = "port-taken"


def listen(host: str, port: int, *, setting: str) -> socket.socket:
    """A socket that listens on `host` and `port`. Raises what `cannot_listen` says."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as exc:
        raise cannot_listen(exc, host, port, setting=setting) from exc


def cannot_listen(exc: OSError, host: str, port: int, *, setting: str) -> GatewayError:
    """What to tell whoever set `setting`, now that listening there failed with `exc`."""
    where = f"{setting}: {host}:{port}"
    if exc.errno == errno.EADDRINUSE:
        return PortTaken(f"{where} is in use by another process; end that one, or choose another port")
    if exc.errno == errno.EACCES:
        return ConfigurationError(
            [f"{where} is a port for which this user has no right; choose one above 1023, behind a proxy"]
        )
    if exc.errno in (errno.EADDRNOTAVAIL, *_NO_SUCH_NAME):
        return ConfigurationError([f"{where} is not an address of this machine; 127.0.0.1 is one, 0.0.0.0 all of them"])
    return ConfigurationError([f"{where} can't be listened on (error {exc.errno})"])
