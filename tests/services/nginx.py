"""nginx: canned answers as fast as a network gives them, faults on demand, and TLS before servers that have none."""

from pathlib import Path

from tests.services.process import Server, accepts_connections, binary, free_port, scratch_folder

_MODULES = ("/usr/lib/nginx/modules", "/usr/share/nginx/modules")
_CONFIGURATION = """
{modules}
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} {listen_options};
    {server}
  }}
}}
"""

FAULTS = """
location /slow/ { echo_sleep 1.5; echo_exec @empty; }
location @empty { default_type application/dicom+json; return 200 "[]"; }
location /never/ { echo_sleep 3600; echo_exec @empty; }
location /error/ { return 503; }
location /broken/ { return 500 "Traceback (most recent call last)"; }
location /closed/ { return 444; }
location /login/ { default_type text/html; return 200 "<html>Please sign in</html>"; }
location /redirect/ { return 302 http://127.0.0.1:9/; }
location /half/ { default_type application/dicom+json; return 200 '[{"0020000D":{"vr":"UI","Value":["2.25.1"]}'; }
"""
"""An archive's bad days, one a path: each works as the query URL of a facility."""


class Nginx:
    """A running nginx with one server block on loopback. `server` is what nginx reads inside `server { }`."""

    def __init__(self, server: str, *, listen_options: str = "") -> None:
        self.folder = scratch_folder("nginx")
        self.port = free_port()
        scheme = "https" if "ssl" in listen_options.split() else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        file = self.folder / "nginx.conf"
        file.write_text(
            _CONFIGURATION.format(
                modules=_echo_module(),
                folder=self.folder,
                port=self.port,
                listen_options=listen_options,
                server=server.replace("$folder", str(self.folder)),
            )
        )
        self._server = Server("nginx", [binary("nginx"), "-e", "stderr", "-c", str(file)], folder=self.folder)
        self._server.wait_until(lambda: accepts_connections(self.port))

    def stop(self) -> None:
        """The server has ended."""
        self._server.stop()


def _echo_module() -> str:
    found = [path for folder in _MODULES for path in Path(folder).glob("ngx_http_echo_module.so")]
    return f"load_module {found[0]};" if found else ""


def canned_archive(studies: bytes, series: bytes = b"[]") -> Nginx:
    """An archive that answers every study query with `studies` and every series query with `series`, at once."""
    server = """
    root $folder;
    default_type application/dicom+json;
    location ~ /series$ { try_files /series.json =404; }
    location ~ /studies$ { try_files /studies.json =404; }
    """
    nginx = Nginx(server)
    (nginx.folder / "studies.json").write_bytes(studies)
    (nginx.folder / "series.json").write_bytes(series)
    return nginx
