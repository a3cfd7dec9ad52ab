"""Signing in at an OpenID provider: the question that a browser is sent away with, and what its answer is worth.

Authorization code with PKCE, state and nonce (OpenID Connect Core 3.1, RFC 9700); the ID token is checked against the
provider's keys before a word of it is believed. Whatever else comes back is nobody.
"""

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, import_key

from gateway.errors import DependencyUnavailable, NotAuthenticated

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "ES256", "ES384", "ES512", "EdDSA")
_TIMEOUT_S = 5
_FRESH_S = 600.0
_KEYS_AGAIN_S = 30.0
"""Keys are read anew where none fits, and not more often than that."""
_SKEW_S = 60
_FAR = 1 << 40
_OLDEST_PROOF_S = "28800"
"""A provider that remembers somebody for longer asks them anew."""
_MOST_AGE_S = 600
_METHOD_WORDS = frozenset(
    (
        *("face", "fpt", "geo", "hwk", "iris", "kba", "mca", "otp", "pin", "pwd", "pop", "rba", "retina", "sc", "sms"),
        *("swk", "tel", "user", "vbm", "wia"),
    )
)
"""RFC 8176 §2, without `mfa`, which is looked for by itself."""
_MOST_METHODS = 6


class ProviderRefused(NotAuthenticated):
    """The provider vouches for nobody: it refused, or what came back doesn't hold. `reason` is ours."""

    code = "provider-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What the gateway is to an identity provider, and what it reads in its tokens."""

    issuer: str
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...] = ("openid", "profile")
    client_secret: str | None = field(default=None, repr=False)
    private_key: Mapping[str, Any] | None = field(default=None, repr=False)
    """A private JWK with which the client proves itself in place of a secret (private_key_jwt)."""
    roles_claim: str | None = None
    patient_claim: str | None = None
    second_factor_acr: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Where the browser is sent, and what must be remembered until it comes back."""

    url: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """Whom the provider vouches for."""

    issuer: str
    subject: str
    name: str
    login: str | None
    methods: tuple[str, ...]
    """RFC 8176: `fed`, what `amr` says, and `mfa` where two factors were proved."""
    roles: tuple[str, ...] | None
    """What the roles claim says; None where no such claim is read."""
    patient: str | None
    """What the patient claim says: `system|value`."""
    authenticated_at: int | None


class IdentityProvider:
    """One OpenID provider. Its documents are kept for ten minutes."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._lock = threading.Lock()
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def ask(self, state: str, nonce: str, verifier: str, *, again: bool) -> Question:
        """The question to send a browser away with; `again` asks for a new proof now. Raises DependencyUnavailable."""
        with self._session() as session:
            # Whoever is asked for an age says in the ID token when they last asked (OpenID Connect Core §2, auth_time).
            more = {"prompt": "login", "max_age": "0"} if again else {"max_age": _OLDEST_PROOF_S}
            url, _ = session.create_authorization_url(
                self._endpoint("authorization_endpoint"), state=state, code_verifier=verifier, nonce=nonce, **more
            )
        return Question(url=url, nonce=nonce, verifier=verifier)

    def answered(self, answer: Mapping[str, str], question: Question, now: datetime) -> Vouched:
        """Whom the provider's answer vouches for. Raises ProviderRefused, DependencyUnavailable."""
        stated = answer.get("iss")  # RFC 9207: an answer of another provider must not be mixed up with ours
        must_state = bool(self._document().get("authorization_response_iss_parameter_supported"))
        if (stated is not None or must_state) and stated != self.provider.issuer:
            raise ProviderRefused("the answer is another provider's")
        if "error" in answer or not answer.get("code"):
            raise ProviderRefused("the provider let nobody in")
        return self._vouched(self._checked(self._redeemed(answer["code"], question), question, now))

    def _redeemed(self, code: str, question: Question) -> str:
        endpoint = self._endpoint("token_endpoint")
        proof = self._assertion(endpoint) if self.provider.private_key else {}
        # What requests and Authlib raise for an answer that is none of a token endpoint's.
        from authlib.common.errors import AuthlibBaseError
        from requests import RequestException

        try:
            with self._session() as session:
                token = session.fetch_token(
                    endpoint,
                    code=code,
                    code_verifier=question.verifier,
                    timeout=_TIMEOUT_S,
                    allow_redirects=False,
                    **proof,
                )
        except AuthlibBaseError as exc:
            raise ProviderRefused("the provider took the code for nothing") from exc
        except (RequestException, ValueError) as exc:
            raise DependencyUnavailable("the identity provider does not answer") from exc
        found = token.get("id_token") if isinstance(token, dict) else None
        if not isinstance(found, str):
            raise ProviderRefused("the provider gave no ID token")
        return found

    def _checked(self, token: str, question: Question, now: datetime) -> dict[str, Any]:
        claims = self._opened(token)
        moment = now.timestamp()
        audience = claims.get("aud")
        if claims.get("iss") != self.provider.issuer:
            raise ProviderRefused("the ID token is another issuer's")
        if audience not in (self.provider.client_id, [self.provider.client_id]):
            raise ProviderRefused("the ID token is for somebody else")
        if claims.get("azp", self.provider.client_id) != self.provider.client_id:
            raise ProviderRefused("the ID token is for somebody else")
        if claims.get("nonce") != question.nonce:
            raise ProviderRefused("the ID token answers another question")
        expires, issued = claims.get("exp"), claims.get("iat")
        if not isinstance(expires, int) or not isinstance(issued, int) or isinstance(expires, bool):
            raise ProviderRefused("the ID token has no times")
        if moment >= expires + _SKEW_S or not moment - _MOST_AGE_S <= issued <= moment + _SKEW_S:
            raise ProviderRefused("the ID token is not of now")
        if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255:
            raise ProviderRefused("the ID token names nobody")
        return claims

    def _opened(self, token: str) -> dict[str, Any]:
        for fresh in (False, True):
            try:
                return dict(jwt.decode(token, self._key_set(again=fresh), algorithms=list(_ALGORITHMS)).claims)
            except (JoseError, ValueError, TypeError, KeyError) as exc:
                problem = exc  # perhaps the provider has changed its keys since they were read
        raise ProviderRefused("the ID token is not the provider's") from problem

    def _vouched(self, claims: Mapping[str, Any]) -> Vouched:
        provider = self.provider
        amr, acr = claims.get("amr"), claims.get("acr")
        words = [word for word in amr if isinstance(word, str)] if isinstance(amr, list) else []
        methods = [word for word in dict.fromkeys(words) if word in _METHOD_WORDS][:_MOST_METHODS]
        if "mfa" in words or (isinstance(acr, str) and acr in provider.second_factor_acr):
            methods.append("mfa")
        login, auth_time = claims.get("preferred_username"), claims.get("auth_time")
        name = claims.get("name")
        return Vouched(
            issuer=provider.issuer,
            subject=claims["sub"],
            name=name if isinstance(name, str) and name.strip() else claims["sub"],
            login=login if isinstance(login, str) and login.strip() else None,
            methods=("fed", *methods),
            roles=_words(claims.get(provider.roles_claim)) if provider.roles_claim else None,
            patient=_one(claims.get(provider.patient_claim)) if provider.patient_claim else None,
            authenticated_at=auth_time if isinstance(auth_time, int) and 0 < auth_time < _FAR else None,
        )

    def _assertion(self, endpoint: str) -> dict[str, str]:
        key, now = import_key(dict(self.provider.private_key or {})), int(time.time())
        client = self.provider.client_id
        claims = {"iss": client, "sub": client, "aud": endpoint, "iat": now, "exp": now + 60, "jti": str(uuid.uuid4())}
        algorithm = "RS256" if key.key_type == "RSA" else "ES384" if key.as_dict().get("crv") == "P-384" else "ES256"
        header = {"alg": algorithm, "typ": "JWT", **({"kid": key.kid} if key.kid else {})}
        return {
            "client_id": client,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode(header, claims, key, algorithms=[algorithm]),
        }

    def _endpoint(self, name: str) -> str:
        found = self._document().get(name)
        if not isinstance(found, str):
            raise DependencyUnavailable("the identity provider's document says too little")
        return found

    def _document(self) -> dict[str, Any]:
        with self._lock:
            if self._metadata is None or time.monotonic() - self._metadata[0] > _FRESH_S:
                found = self._read(self.provider.issuer.rstrip("/") + "/.well-known/openid-configuration")
                if found.get("issuer") != self.provider.issuer:
                    raise DependencyUnavailable("the identity provider's document is another issuer's")
                self._metadata = (time.monotonic(), found)
            return self._metadata[1]

    def _key_set(self, *, again: bool) -> KeySet:
        address = self._endpoint("jwks_uri")
        with self._lock:
            age = time.monotonic() - self._keys[0] if self._keys else _FRESH_S + 1
            if self._keys is None or age > (_KEYS_AGAIN_S if again else _FRESH_S):
                self._keys = (time.monotonic(), KeySet.import_key_set(self._read(address)))  # type: ignore[arg-type]
            return self._keys[1]

    def _read(self, address: str) -> dict[str, Any]:
        from requests import RequestException

        try:
            with self._session() as session:
                answer = session.get(address, withhold_token=True, timeout=_TIMEOUT_S, allow_redirects=False)
                found = answer.json() if answer.status_code == 200 else None
        except (RequestException, ValueError) as exc:
            raise DependencyUnavailable("the identity provider does not answer") from exc
        if not isinstance(found, dict):
            raise DependencyUnavailable("the identity provider's document can't be read")
        return found

    def _session(self) -> Any:
        from authlib.integrations.requests_client import OAuth2Session  # slow to load, and only this needs it

        provider = self.provider
        session = OAuth2Session(
            provider.client_id,
            provider.client_secret,
            scope=" ".join(provider.scopes),
            redirect_uri=provider.redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if provider.client_secret else "none",
        )
        session.trust_env = False  # no proxy and no .netrc of the environment
        return session


def asked_again_since(vouched: Vouched, began: datetime) -> bool:
    """Whether the provider asked for a new proof since `began`, and doesn't only remember one."""
    return (
        vouched.authenticated_at is not None
        and vouched.authenticated_at >= (began - timedelta(seconds=_SKEW_S)).timestamp()
    )


def _words(value: object) -> tuple[str, ...]:
    words: Sequence[object] = value if isinstance(value, list) else value.split() if isinstance(value, str) else ()
    return tuple(word for word in words if isinstance(word, str))


def _one(value: object) -> str | None:
    values = value if isinstance(value, list) else [value]
    return values[0] if len(values) == 1 and isinstance(values[0], str) and values[0] else None
