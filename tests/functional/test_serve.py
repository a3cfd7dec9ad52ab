"""`serve` as an operator runs it: settings, several workers, health, stopping."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.functional.small_exchange import SmallExchange, hold_study, identifier
from tests.services.gateway import Gateway

MakeGateway = Callable[..., Gateway]


def test_every_problem_with_the_settings_is_told_at_once(make_gateway: MakeGateway) -> None:
    """Exit 78; each line names its setting, and no value is repeated that might be a secret."""
    gateway = make_gateway(
        GATEWAY_WORKERS="0",
        GATEWAY_THREADS="many",
        GATEWAY_CONSENT_POLICY="opt-out",
        GATEWAY_BASE_URL="https://exchange.example/fhir",
        GATEWAY_DATABASE_URL="mysql://user:hunter2@db/gateway",
        GATEWAY_DEADLINE="8000",
    )

    told = gateway.run("serve", expect=78).stderr

    for name in ("WORKERS", "THREADS", "CONSENT_POLICY", "BASE_URL", "DATABASE_URL", "DEADLINE is not a setting"):
        assert f"GATEWAY_{name}" in told
    assert "hunter2" not in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("GATEWAY_LISTEN", "127.0.0.1:0"),
        ("GATEWAY_ADT_LISTEN", "127.0.0.1:0"),
        ("GATEWAY_BASE_URL", "http://exchange.example:99999"),
        ("GATEWAY_BASE_URL", "http://[::1"),
        ("GATEWAY_REDIS_URL", "redis://["),
        ("GATEWAY_REDIS_URL", "redis://127.0.0.1:99999"),
        ("GATEWAY_CONSENT_POLICY_URIS", "::"),
        ("GATEWAY_STRONG_IDENTIFIER_SYSTEMS", "urn:oid:2.999 national-id"),
        ("GATEWAY_ADT_TLS_CERT_FILE", str(Path(__file__))),
        ("GATEWAY_ADT_TLS_CA_FILE", "nowhere.pem"),
    ],
)
def test_a_value_that_can_not_serve_is_told_by_its_setting(setting: str, value: str, make_gateway: MakeGateway) -> None:
    """Exit 78, without a traceback, and nothing is taken in silence."""
    told = make_gateway(**{setting: value}).run("serve", expect=78).stderr

    assert all(line.startswith("settings: GATEWAY_") for line in told.splitlines())
    assert setting in told


def test_production_refuses_what_only_suits_a_try(make_gateway: MakeGateway) -> None:
    """Plain HTTP, no keys, several workers on SQLite."""
    gateway = make_gateway(
        GATEWAY_ENVIRONMENT="production", GATEWAY_WORKERS="2", GATEWAY_REDIS_URL="redis://127.0.0.1:1"
    )

    told = gateway.run("serve", expect=78).stderr

    for word in ("GATEWAY_BASE_URL must be https", "GATEWAY_KEYS_FILE", "SQLite serves one worker"):
        assert word in told


def test_a_taken_port_is_told_in_one_line(make_gateway: MakeGateway) -> None:
    """At once, and by the setting's name; exit 1, since the settings hold."""
    gateway = make_gateway()
    with socket.create_server(("127.0.0.1", gateway.port)):
        told = gateway.run("serve", expect=1).stderr

    assert told.splitlines() == [
        f"failed: GATEWAY_LISTEN: 127.0.0.1:{gateway.port} is in use by another process; end that one, or choose "
        "another port"
    ]


@pytest.mark.parametrize(("setting", "command"), [("GATEWAY_LISTEN", "serve"), ("GATEWAY_ADT_LISTEN", "adt serve")])
def test_an_address_of_another_machine_is_told_in_one_line(
    setting: str, command: str, make_gateway: MakeGateway
) -> None:
    """Exit 78: another address has to be set."""
    told = make_gateway(**{setting: "192.0.2.1:18080"}).run(*command.split(), expect=78).stderr

    (line,) = told.splitlines()
    assert line.startswith(f"settings: {setting}: 192.0.2.1:18080 is not an address of this machine")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"GATEWAY_MATCHING_REVIEW_BITS": "20", "GATEWAY_MATCHING_LINK_BITS": "10"}, "GATEWAY_MATCHING_REVIEW_BITS"),
        ({"GATEWAY_MATCHING_ALGORITHM_FILE": "nowhere.json"}, "GATEWAY_MATCHING_ALGORITHM_FILE: nowhere.json"),
    ],
)
def test_a_matching_rule_that_can_not_be_used_is_told_before_a_worker_starts(
    settings: dict[str, str], told: str, make_gateway: MakeGateway
) -> None:
    """Exit 78 with the one reason."""
    gateway = make_gateway(GATEWAY_MATCHING="on", **settings)

    (line,) = gateway.run("serve", expect=78).stderr.splitlines()

    assert line.startswith(f"settings: {told}")


@pytest.mark.parametrize("held", [b"[[rule]\n", b"\xff\xfe"])
def test_label_rules_that_can_not_be_read_are_told_before_a_worker_starts(
    held: bytes, make_gateway: MakeGateway
) -> None:
    """Exit 78 with the one reason."""
    gateway = make_gateway()
    (gateway.folder / "var").mkdir(exist_ok=True)
    (gateway.folder / "var" / "label-rules.toml").write_bytes(held)

    (line,) = gateway.run("serve", expect=78).stderr.splitlines()

    assert line.startswith("settings: label-rules.toml: ")


@pytest.mark.integration
def test_two_workers_count_together_and_stop_when_told(make_gateway: MakeGateway, redis_url: str) -> None:
    """`/metrics` shows the requests of both processes; SIGTERM ends them, and the exit status is 0."""
    gateway = make_gateway(GATEWAY_WORKERS="2", GATEWAY_REDIS_URL=redis_url)
    gateway.start()
    for _ in range(40):
        assert requests.get(f"{gateway.url}/livez", timeout=5).json() == {"status": "alive"}

    counts = [line for line in gateway.metrics().splitlines() if 'route="/livez"' in line and "requests_total" in line]

    assert sum(float(line.rpartition(" ")[2]) for line in counts) == 40
    assert requests.get(f"{gateway.url}/readyz", timeout=5).json()["checks"] == {
        "cache": "ok",
        "database": "ok",
        "keys": "ok",
    }
    assert gateway.stop() == 0


@pytest.mark.integration
def test_readiness_names_the_dependency_that_is_away(make_gateway: MakeGateway) -> None:
    """The process lives; it is not ready, and says why without a word about patients."""
    gateway = make_gateway(GATEWAY_REDIS_URL="redis://127.0.0.1:1")
    gateway.start(ready=False)

    answer = requests.get(f"{gateway.url}/readyz", timeout=5)

    assert answer.status_code == 503
    assert answer.json()["checks"] == {"cache": "unavailable", "database": "ok", "keys": "ok"}
    assert requests.get(f"{gateway.url}/livez", timeout=5).status_code == 200


@pytest.mark.parametrize("replaced", [False, True])
def test_a_database_file_that_is_gone_is_not_used_further(replaced: bool) -> None:
    """503, and not ready, where the file was deleted or replaced under a gateway that serves; no new one is made."""
    exchange = SmallExchange()
    hold_study(exchange.add_archive("north"), "a", "2.25.1")
    exchange.add_person("a", "north")
    exchange.start()
    try:
        asked = {"patient.identifier": identifier("a", "north")}
        file = exchange.gateway.folder / "var" / "gateway.db"
        assert exchange.get("/ImagingStudy", asked).status_code == 200
        aside = file.rename(file.with_suffix(".aside"))
        if replaced:
            file.write_bytes(aside.read_bytes())

        assert exchange.get("/ImagingStudy", asked).status_code == 503
        ready = requests.get(f"{exchange.gateway.url}/readyz", timeout=5)

        assert ready.status_code == 503
        assert ready.json()["checks"]["database"] == "unavailable"
        assert file.exists() is replaced
        aside.rename(file)
        assert requests.get(f"{exchange.gateway.url}/readyz", timeout=5).status_code == 200
        assert exchange.get("/ImagingStudy", asked).status_code == 200
    finally:
        exchange.stop()
