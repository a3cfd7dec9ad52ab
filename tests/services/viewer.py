"""OHIF, served as `deploy/nginx/viewer.conf.template` and `deploy/viewer/app-config.js` have it."""

import subprocess
from pathlib import Path

from tests.services.certificate import self_signed
from tests.services.process import Server, ServiceMissing, accepts_connections, binary, free_port, scratch_folder

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = ROOT / ".venvs" / "viewer"
_AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/viewer.conf;
}}
"""


class Viewer:
    """A running viewer; its address is known before it starts, so that gates can be told of it."""

    def __init__(self) -> None:
        if not (FILES / "index.html").exists():
            msg = "the viewer's files are not there; run deploy/dev/setup-tests.sh"
            raise ServiceMissing(msg)
        self.folder = scratch_folder("viewer")
        self.port = free_port()
        self.origin = f"https://127.0.0.1:{self.port}"
        self.launch_url = f"{self.origin}/viewer"
        self.log = self.folder / "access.log"
        self._server: Server | None = None

    def start(self, *, gateway: str, images: str) -> None:
        """It serves, and its page may speak to the gateway and to the origins in `images`."""
        certificate, key = self_signed(self.folder)
        values = {
            "LISTEN": f"127.0.0.1:{self.port}",
            "HOST": f"127.0.0.1:{self.port}",
            "CERTIFICATE": certificate,
            "CERTIFICATE_KEY": key,
            "FILES": FILES,
            "CONFIG": self.folder / "app-config.js",
            "GATEWAY": gateway,
            "IMAGES": images,
            "LOG": self.log,
        }
        (self.folder / "viewer.env").write_text("".join(f"VIEWER_{name}={value}\n" for name, value in values.items()))
        self._fill_in(DEPLOY / "viewer" / "app-config.js", "app-config.js")
        self._fill_in(DEPLOY / "nginx" / "viewer.conf.template", "viewer.conf")
        file = self.folder / "nginx.conf"
        file.write_text(_AROUND.format(folder=self.folder))
        argv = [binary("nginx"), "-e", "stderr", "-c", str(file)]
        self._server = Server("viewer", argv, folder=self.folder)
        self._server.wait_until(lambda: accepts_connections(self.port))

    def _fill_in(self, template: Path, name: str) -> None:
        argv = [str(DEPLOY / "nginx" / "fill-in.sh"), str(template), str(self.folder / "viewer.env")]
        filled = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
        (self.folder / name).write_text(filled.stdout)

    def stop(self) -> None:
        """The viewer has ended, if it was started."""
        if self._server is not None:
            self._server.stop()
