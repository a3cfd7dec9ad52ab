"""`python -m gateway adt serve`: the way in for HL7 v2 feeds."""

import asyncio
import signal
from datetime import UTC, datetime
from threading import Lock

import click
from prometheus_client import start_http_server

from gateway.adapters.registry import FacilityRegistry
from gateway.cli.context import Operator
from gateway.config import Settings
from gateway.errors import ConfigurationError
from gateway.hl7v2.mllp import MllpServer, tls_context
from gateway.hl7v2.order import PatientOrder
from gateway.hl7v2.receive import AdtReceiver
from gateway.listening import cannot_listen
from gateway.log import Event, event, set_up
from gateway.wiring import open_identity_desk


@click.group(name="adt")
def command() -> None:
    """HL7 v2 messages about patients (ADT), over MLLP."""


@command.command()
def serve() -> None:
    """Take in ADT messages on GATEWAY_ADT_LISTEN until stopped. One such process an exchange: it keeps their order."""
    with Operator() as operator:
        settings = operator.settings
        address = settings.adt_address
        if address is None:
            raise ConfigurationError(["GATEWAY_ADT_LISTEN must say where to listen: host:port"])
        registry = FacilityRegistry(operator.engine, operator.keys)
        desk = open_identity_desk(
            settings, operator.engine, operator.keys, operator.audit, registry.all, lambda _: None
        )
        receiver = AdtReceiver(
            desk=desk,
            order=PatientOrder(operator.engine, operator.keys),
            clock=lambda: datetime.now(UTC),
            taking=Lock(),
        )
        set_up()
        _serve_metrics(settings)
        asyncio.run(_serve(receiver, settings, *address))


def _serve_metrics(settings: Settings) -> None:
    address = settings.adt_metrics_address
    if address is not None:
        host, port = address
        try:
            start_http_server(port, host)
        except OSError as exc:
            raise cannot_listen(exc, host, port, setting="GATEWAY_ADT_METRICS_LISTEN") from exc


async def _serve(receiver: AdtReceiver, settings: Settings, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    context = None
    if settings.adt_tls_cert_file and settings.adt_tls_key_file:
        try:
            context = tls_context(settings.adt_tls_cert_file, settings.adt_tls_key_file, settings.adt_tls_ca_file)
        except OSError as exc:
            raise ConfigurationError(["GATEWAY_ADT_TLS_*: the files are no certificate with its key"]) from exc
    try:
        server = MllpServer(receiver, context=context)
        await server.serve(host, port, stop, lambda bound: event(Event.STARTED, listen=f"{host}:{bound}"))
    except OSError as exc:
        raise cannot_listen(exc, host, port, setting="GATEWAY_ADT_LISTEN") from exc
    event(Event.STOPPING)
