"""HAProxy before several processes of the gateway, or as a network that misbehaves."""

from collections.abc import Sequence

from tests.services.process import Server, accepts_connections, binary, free_port, scratch_folder

_CONFIGURATION = """
global
  maxconn 2000
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  timeout tarpit 3s
  option redispatch
  retries 2
frontend front
  bind 127.0.0.1:{port}
  {rules}
  default_backend back
backend back
  balance roundrobin
  option httpchk GET {check}
  {servers}
"""


class HAProxy:
    """A running load balancer over loopback ports. `rules` are lines of its frontend, such as `http-request tarpit`."""

    def __init__(self, ports: Sequence[int], *, check: str = "/healthz", rules: str = "") -> None:
        folder = scratch_folder("haproxy")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        servers = [f"server s{port} 127.0.0.1:{port} check inter 300ms fall 2 rise 1" for port in ports]
        file = folder / "haproxy.cfg"
        file.write_text(_CONFIGURATION.format(port=self.port, check=check, rules=rules, servers="\n  ".join(servers)))
        self._server = Server("haproxy", [binary("haproxy"), "-db", "-f", str(file)], folder=folder)
        self._server.wait_until(lambda: accepts_connections(self.port))

    def stop(self) -> None:
        """The balancer has ended."""
        self._server.stop()
