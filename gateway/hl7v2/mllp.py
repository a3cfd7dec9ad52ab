"""HL7 v2 over TCP: MLLP connections, over TLS where the settings say so, each message answered before the next is read.

A connection that is cut off in the middle of a message has sent no message.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hl7.mllp import HL7StreamReader, HL7StreamWriter, InvalidBlockError, start_hl7_server

from gateway.hl7v2.message import MOST_BYTES
from gateway.hl7v2.receive import AdtReceiver, Peer
from gateway.log import Event, event
from gateway.model import FacilityID

MOST_CONNECTIONS = 200
IDLE_S = 600.0
_LATIN = "iso8859-1"


def tls_context(cert_file: Path, key_file: Path, ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or later with the gateway's certificate; with `ca_file`, only for peers whose certificate it vouches for.

    Raises OSError, which ssl.SSLError is, where a file can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_file, key_file)
    if ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca_file)
    return context


class MllpServer:
    """Serves until it is told to stop; a message that is being taken in is still answered."""

    def __init__(self, receiver: AdtReceiver, *, context: ssl.SSLContext | None = None, idle_s: float = IDLE_S) -> None:
        self._receiver = receiver
        self._context = context
        self._idle_s = idle_s
        self._open: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()

    async def serve(self, host: str, port: int, stop: asyncio.Event, listening: Callable[[int], None]) -> None:
        """It listens until `stop` is set; `listening` is told the port. Raises OSError where it can't listen."""
        server = await start_hl7_server(
            self._connected, host, port, limit=MOST_BYTES, encoding=_LATIN, ssl=self._context
        )
        async with server:
            listening(server.sockets[0].getsockname()[1])
            await stop.wait()
            server.close()
            for task in self._open - self._busy:
                task.cancel()
            if self._open:
                await asyncio.wait(self._open, timeout=10)

    def _connected(self, reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        if len(self._open) >= MOST_CONNECTIONS:
            event(Event.ADT_CONNECTION, level=logging.WARNING, reason="too many connections")
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _talk(self, reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        peer = _peer(writer)
        try:
            while True:
                block = await asyncio.wait_for(reader.readblock(), self._idle_s)
                await self._answer(block, peer, writer)
        except asyncio.IncompleteReadError as exc:
            if exc.partial:
                event(Event.ADT_CONNECTION, level=logging.WARNING, reason="cut off in the middle of a message")
        except (InvalidBlockError, ValueError):
            event(Event.ADT_CONNECTION, level=logging.WARNING, reason="not MLLP, or a message that is too long")
        except (TimeoutError, OSError):
            event(Event.ADT_CONNECTION, reason="idle, or gone")
        finally:
            writer.close()

    async def _answer(self, block: bytes, peer: Peer, writer: HL7StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine that runs has a task
        self._busy.add(task)
        try:
            writer.writeblock(await asyncio.to_thread(self._receiver.receive, block, peer))
            await writer.drain()
        finally:
            self._busy.discard(task)


def _peer(writer: HL7StreamWriter) -> Peer:
    address = writer.get_extra_info("peername")
    certificate: dict[str, Any] | None = writer.get_extra_info("peercert")
    return Peer(
        address=str(address[0]) if address else None,
        facility=_common_name(certificate) if certificate else None,
        certified=bool(certificate),
    )


def _common_name(certificate: dict[str, Any]) -> FacilityID | None:
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return FacilityID(names[0]) if len(names) == 1 else None
