"""Which client is calling: by the assertion it signs, or (a public app, which can keep no key) by its name alone."""

from datetime import datetime

from gateway.auth.client_assertion import AssertionRefused, AssertionVerifier
from gateway.auth.clients import Client, ClientRegistry
from gateway.errors import NotAuthenticated


class ClientAuthenticator:
    """Authenticates clients at the authorization server (RFC 6749 §2.3, §3.2.1)."""

    def __init__(self, verifier: AssertionVerifier, clients: ClientRegistry) -> None:
        self._verifier = verifier
        self._clients = clients

    def authenticate(self, assertion: str | None, client_id: str | None, now: datetime) -> Client:
        """The client, registered and enabled; an assertion is used up by it.

        Raises AssertionRefused where it isn't proved; DependencyUnavailable.
        """
        if assertion is not None:
            return self._verifier.verify(assertion, client_id=client_id, now=now).client
        try:
            client = self._clients.require_enabled(client_id or "")
        except NotAuthenticated as exc:
            raise AssertionRefused(exc.reason) from exc
        if not client.public:
            raise AssertionRefused("the client has a key and did not sign with it")
        return client
