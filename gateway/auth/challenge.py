"""The `WWW-Authenticate` value a refusal is answered with (RFC 6750 §3)."""

from gateway.errors import GatewayError, NotAuthenticated, ScopeMissing

REALM = "imaging exchange"


def challenge_for(exc: GatewayError) -> str | None:
    """The challenge for `exc`, None where it calls for none.

    Without an error code where no token was sent, `invalid_token` where one does not hold, `insufficient_scope` where
    its scopes do not reach. Nothing of the token is repeated.
    """
    if isinstance(exc, ScopeMissing):
        return f'Bearer realm="{REALM}", error="insufficient_scope"'
    if isinstance(exc, NotAuthenticated):
        return f'Bearer realm="{REALM}", error="invalid_token"' if exc.presented else f'Bearer realm="{REALM}"'
    return None
