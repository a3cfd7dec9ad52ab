"""The gate that is shipped, before an archive: `deploy/nginx/gate.conf.template`, filled in as its page says."""

import subprocess
from pathlib import Path

from tests.services.certificate import self_signed
from tests.services.process import Server, accepts_connections, binary, free_port, scratch_folder

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx"
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
  include {folder}/gate.conf;
}}
"""


class Gate:
    """A running gate, made of the shipped template. `url` is the facility's `gate_url`."""

    def __init__(
        self,
        *,
        archive: int,
        gateway: int,
        key: str = "no-key",
        archive_authorization: str = "",
        viewers: str = "",
        path: str = "/dicom-web",
        port: int | None = None,
    ) -> None:
        self.folder = scratch_folder("gate")
        self.port = port or free_port()
        self.certificate, private_key = self_signed(self.folder)
        self.origin = f"https://127.0.0.1:{self.port}"
        self.url = self.origin + path
        self.log = self.folder / "access.log"
        self._fill_in(
            {
                "LISTEN": f"127.0.0.1:{self.port}",
                "HOST": f"127.0.0.1:{self.port}",
                "PATH": path,
                "CERTIFICATE": self.certificate,
                "CERTIFICATE_KEY": private_key,
                "ARCHIVE_ADDRESS": f"127.0.0.1:{archive}",
                "ARCHIVE_PATH": "/dicom-web",
                "ARCHIVE_AUTHORIZATION": archive_authorization,
                "GATEWAY_SCHEME": "http",
                "GATEWAY_HOST": "127.0.0.1",
                "GATEWAY_PORT": gateway,
                "GATEWAY_CA": self.certificate,
                "FACILITY_KEY": key,
                "VIEWER_ORIGINS": viewers,
                "LOG": self.log,
            }
        )
        file = self.folder / "nginx.conf"
        file.write_text(_AROUND.format(folder=self.folder))
        argv = [binary("nginx"), "-e", "stderr", "-c", str(file)]
        self.configuration_test = subprocess.run([*argv, "-t"], capture_output=True, text=True, check=False, timeout=20)
        self._server = Server("gate", argv, folder=self.folder)
        self._server.wait_until(lambda: accepts_connections(self.port))

    def _fill_in(self, values: dict[str, object]) -> None:
        env = self.folder / "gate.env"
        env.write_text("".join(f"GATE_{name}={value}\n" for name, value in values.items()))
        argv = [str(SHIPPED / "fill-in.sh"), str(SHIPPED / "gate.conf.template"), str(env)]
        filled = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
        (self.folder / "gate.conf").write_text(filled.stdout)

    def stop(self) -> None:
        """The gate has ended."""
        self._server.stop()
