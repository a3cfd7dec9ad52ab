"""`docs/how-to/run-in-production.md`, word for word: its settings, keys, database, proxy, backup and restore."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from tests.factories_mpi import NORTH, a_patient
from tests.services.exchange import facilities_toml
from tests.services.gateway import ROOT, Gateway
from tests.services.nginx import Nginx
from tests.services.postgres import OWNER, Postgres

pytestmark = pytest.mark.integration
PAGE = (ROOT / "docs" / "how-to" / "run-in-production.md").read_text()
HOST = {"Host": "exchange.example"}
"""What a client asks for; the test reaches it on loopback."""


def _block(heading: str, language: str, number: int = 0) -> str:
    """A block of code under a heading of the page."""
    section = PAGE.partition(f". {heading}\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)[number]


def _run(gateway: Gateway, block: str) -> None:
    """The shell does what the block says, in the gateway's folder and with its settings; any failure is one."""
    env = gateway.env | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    # The recipe empties the environment; where the gateway's own code lies, it has to be told again.
    script = block.replace("env -i ", f"env -i PYTHONPATH={ROOT} ")
    done = subprocess.run(
        ["bash", "-euc", script], cwd=gateway.folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def _load(gateway: Gateway, value: str) -> None:
    gateway.run("patients", "load", "-", stdin=json.dumps(a_patient(value)))


@pytest.fixture
def gateway(postgres: Postgres, redis_url: str, tmp_path: Path) -> Iterator[Gateway]:
    """The page's settings, with the places of this machine, and its keys and database as it makes them."""
    settings = dict(line.split("=", 1) for line in _block("Settings", "sh").splitlines())
    here = {
        "GATEWAY_DATABASE_URL": postgres.url("gateway"),
        "GATEWAY_REDIS_URL": redis_url,
        "GATEWAY_KEYS_FILE": str(tmp_path / "keys.json"),
        "GATEWAY_DATA_DIR": str(tmp_path / "var"),
        "GATEWAY_WORKERS": "2",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGUSER": OWNER,
    }
    del settings["GATEWAY_LISTEN"]
    one = Gateway({**settings, **here})
    _run(one, _block("Keys and database", "sh", 0))
    _run(one, _block("Keys and database", "sh", 1))
    yield one
    one.stop()
    _run(one, "dropdb --force gateway")


@pytest.fixture
def proxy(gateway: Gateway, tmp_path: Path) -> Iterator[tuple[Nginx, str]]:
    """The page's nginx before the gateway, and whose certificates it has."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("exchange.example", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "exchange.pem")
    block = _block("The proxy", "nginx").strip().removeprefix("server {").removesuffix("}")
    for words, here in {
        "listen 443 ssl;": "",
        "/etc/nginx/tls/exchange.crt": str(tmp_path / "exchange.pem"),
        "/etc/nginx/tls/exchange.key": str(tmp_path / "exchange.pem"),
        "http://127.0.0.1:8080": gateway.url,
    }.items():
        assert words in block
        block = block.replace(words, here)
    nginx = Nginx(block, listen_options="ssl")
    yield nginx, str(tmp_path / "ca.pem")
    nginx.stop()


def test_the_proxy_of_the_page_serves_the_gateway_alone(gateway: Gateway, proxy: tuple[Nginx, str]) -> None:
    """Over TLS: links of the public address, no metrics, nothing that is too large."""
    nginx, ca_file = proxy
    gateway.start()

    def get(path: str, **more: Any) -> requests.Response:
        return requests.get(nginx.url + path, headers={**HOST, **more.pop("headers", {})}, verify=ca_file, timeout=10)

    assert get("/readyz").json()["checks"] == {"cache": "ok", "database": "ok", "keys": "ok"}
    told = get("/fhir/r4/.well-known/smart-configuration").json()
    assert told["token_endpoint"] == "https://exchange.example/oauth/token"
    assert get("/fhir/r4/ImagingStudy?patient=x").status_code == 401
    assert get("/metrics").status_code == 403
    assert get("/readyz", headers={"X-Long": "x" * 20_000}).status_code == 400
    body = requests.post(nginx.url + "/oauth/token", data=b"x" * 2_000_000, headers=HOST, verify=ca_file, timeout=10)
    assert body.status_code == 413


def test_a_restored_backup_is_the_exchange_of_that_time(gateway: Gateway) -> None:
    """Whoever was loaded before it is known again; whoever came after it is not, whatever tables came since."""
    north = {"id": "north", "name": "North", "identifier_system": NORTH, "query_url": "https://127.0.0.1:9/x"}
    gateway.run("facilities", "apply", str(gateway.write("facilities.toml", facilities_toml([north]))))
    _load(gateway, "N-1")
    _run(gateway, _block("Backup and restore", "sh", 0))
    _load(gateway, "N-2")
    _run(gateway, "psql -qc 'CREATE TABLE of_a_later_version (x int)' \"$GATEWAY_DATABASE_URL\"")

    _run(gateway, _block("Backup and restore", "sh", 1))

    assert gateway.run_json("patients", "show", f"{NORTH}|N-1")["records"][0]["value"] == "N-1"
    assert "nobody is known" in gateway.run("patients", "show", f"{NORTH}|N-2", expect=1).stderr
    gateway.start()


def test_the_key_file_of_the_page_is_its_owners_alone(gateway: Gateway) -> None:
    """And nothing else is left of how it was made."""
    assert Path(gateway.env["GATEWAY_KEYS_FILE"]).stat().st_mode & 0o777 == 0o600
    assert not (gateway.folder / "new").exists()
