"""A sender of HL7 v2 messages over MLLP, as a hospital's engine is one: sockets and bytes, nothing of the gateway's."""

import socket
import ssl
from types import TracebackType

START, END = b"\x0b", b"\x1c\r"


class MllpSender:
    """One connection. It sends a message and reads its acknowledgement."""

    def __init__(self, port: int, *, context: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._socket = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        self._received = b""

    def __enter__(self) -> "MllpSender":
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def send(self, *segments: str, encoding: str = "utf-8") -> list[list[str]]:
        """The acknowledgement of the message, as fields by segment."""
        return self.send_bytes(START + "\r".join(segments).encode(encoding) + b"\r" + END)

    def send_bytes(self, sent: bytes) -> list[list[str]]:
        """The acknowledgement of what was sent, as fields by segment. Raises ConnectionError where none comes."""
        self.only_send(sent)
        while END not in self._received:
            got = self._socket.recv(65536)
            if not got:
                raise ConnectionError
            self._received += got
        block, _, self._received = self._received.partition(END)
        return [line.split("|") for line in block.removeprefix(START).decode().split("\r") if line]

    def only_send(self, sent: bytes) -> None:
        """The bytes are on their way."""
        self._socket.sendall(sent)


def answer_of(acknowledgement: list[list[str]]) -> str:
    """AA, AE or AR."""
    return acknowledgement[1][1]
