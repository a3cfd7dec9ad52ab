"""An OpenID provider that answers what a test tells it to: honest documents, and any ID token."""

import json
import socket
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.facilities.little_server import LittleServer, Request


class TokenTeller(LittleServer):
    """Its document, its keys and its token endpoint; `claims` and `header` change the next tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "one"})
        self.published: list[RSAKey] = [self.key]
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.signing: Any = self.key
        self.document: dict[str, Any] = {}
        self.token_answer: tuple[str, Any] | None = None
        self.nonce = ""

    def answer(self, request: Request, connection: socket.socket) -> bool:
        """One answer a connection."""
        if request.path == "/.well-known/openid-configuration":
            self._send(connection, "200 OK", self._configuration() | self.document)
        elif request.path == "/jwks":
            self._send(connection, "200 OK", {"keys": [key.as_dict(private=False) for key in self.published]})
        elif self.token_answer is not None:
            self._send(connection, *self.token_answer)
        else:
            told = {"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": self.id_token()}
            self._send(connection, "200 OK", told)
        return False

    def id_token(self) -> str:
        """The token that is told: right, save for what a test has changed."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": "gateway", "sub": "dr.a", "iat": now, "exp": now + 60, "nonce": self.nonce}
        told = {name: value for name, value in {**claims, **self.claims}.items() if value is not None}
        header = {"alg": "RS256", "kid": "one", **self.header}
        return jwt.encode(header, told, self.signing, algorithms=[header["alg"]])

    def _configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
        }

    def _send(self, connection: socket.socket, status: str, value: Any) -> None:
        body = json.dumps(value).encode()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
        )
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
