"""Who asks, made up: clients with real keys, assertions, access tokens, requesters. Plain functions for every room."""

import json
import time
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.audit.record import AuditRecord
from gateway.auth.b2b import Subject
from gateway.auth.backend_services import BackendServices
from gateway.auth.bearer import BearerAuthenticator
from gateway.auth.break_glass import NO_DECLARATIONS, Declaration, Declarations
from gateway.auth.client_assertion import AssertionVerifier
from gateway.auth.client_keys import ClientKeys
from gateway.auth.clients import Client, ClientRegistry
from gateway.auth.jwks_fetch import FetchedJWKS
from gateway.auth.purpose_of_use import BreakGlass
from gateway.auth.tokens import sign
from gateway.db.crypto import KeyRing
from gateway.errors import AuditUnavailable
from gateway.model import ClientID, PatientID, Requester
from gateway.purposes import SYSTEM

BASE_URL = "http://127.0.0.1:8080"
TOKEN_URL = BASE_URL + "/oauth/token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPES = ("system/ImagingStudy.rs", "system/Patient.rs")

ClientKeyPair = RSAKey | ECKey


def a_client_key(algorithm: str = "ES384", kid: str = "key-1") -> ClientKeyPair:
    """A private key that can sign `algorithm`, the same one whenever it is asked for by the same name."""
    return _made_key(algorithm, kid)


@cache
def _made_key(algorithm: str, kid: str) -> ClientKeyPair:
    parameters = {"kid": kid, "use": "sig", "alg": algorithm}
    if algorithm.startswith("RS"):
        return RSAKey.generate_key(2048, parameters)
    return ECKey.generate_key("P-384", parameters)


def a_jwks(*keys: ClientKeyPair) -> str:
    """The public halves of `keys` (of one ES384 key, where none is given) as a JWK Set."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys or (a_client_key(),)]})


def a_client(**changes: Any) -> Client:
    """An EHR registered for TREAT and for reading imaging and patients."""
    client = Client(
        id=ClientID("ehr"),
        name="An EHR",
        organization="north",
        jwks=a_jwks(),
        jwks_uri=None,
        scopes=SCOPES,
        purposes=("TREAT",),
    )
    return replace(client, **changes)


def an_assertion(
    key: ClientKeyPair | None = None,
    *,
    algorithm: str | None = None,
    header: Mapping[str, Any] | None = None,
    b2b: Mapping[str, Any] | None = None,
    without: Sequence[str] = (),
    **claims: Any,
) -> str:
    """A client assertion that holds, but for what is changed in its header and claims."""
    key = key or a_client_key()
    algorithm = algorithm or ("RS384" if isinstance(key, RSAKey) else "ES384")
    now = int(time.time())
    body: dict[str, Any] = {
        "iss": "ehr",
        "sub": claims.get("iss", "ehr"),
        "aud": TOKEN_URL,
        "iat": now,
        "exp": now + 240,
        "jti": str(uuid.uuid4()),
    }
    if b2b is not None:
        body["extensions"] = {"hl7-b2b": {"version": "1", **b2b}}
    body |= claims
    head = {"alg": algorithm, "kid": key.kid, "typ": "JWT", **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    body = {name: value for name, value in body.items() if name not in without}
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jwt.encode(head, body, key, registry=registry, default_type=None)


def a_token_form(assertion: str | None = None, **changes: Any) -> dict[str, str]:
    """The form of a token request; a change to None leaves a parameter out."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion or an_assertion(),
        "scope": " ".join(SCOPES),
    } | changes
    return {name: value for name, value in form.items() if value is not None}


def access_token_claims(
    base_url: str = BASE_URL, *, purposes: Sequence[str] = ("TREAT",), b2b: Any = None, **claims: Any
) -> dict[str, Any]:
    """The claims of a system's access token for `purposes`; a change to None leaves a claim out.

    The system is the client `ehr`, or the one of `client_id`.
    """
    now = int(time.time())
    client_id = claims.get("client_id")
    body = {
        "iss": base_url,
        "aud": base_url,
        "sub": client_id if isinstance(client_id, str) else "ehr",
        "client_id": "ehr",
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + 300,
        "scope": " ".join(SCOPES),
        "extensions": {
            "ihe_iua": {"purpose_of_use": [{"system": SYSTEM, "code": code} for code in purposes]},
            "hl7-b2b": {"version": "1", "organization_id": "north"} if b2b is None else b2b,
        },
    } | claims
    return {name: value for name, value in body.items() if value is not None}


def an_access_token(keys: KeyRing, base_url: str = BASE_URL, **claims: Any) -> str:
    """An access token signed with the gateway's own key, with these claims changed.

    `patient="…"` binds it to one patient, `purposes` and `b2b` (the `hl7-b2b` object) are set whole; anything else is
    a claim by its name.
    """
    return sign(keys, access_token_claims(base_url, **claims))


def a_requester(**changes: Any) -> Requester:
    """A clinician's EHR that asks for treatment."""
    requester = Requester(
        client_id=ClientID("ehr"),
        client_name="An EHR",
        organization="north",
        scopes=SCOPES,
        purposes=("TREAT",),
        issuer=BASE_URL,
        subject="ehr",
        token_id="token-1",
        expires_at=datetime.now(UTC) + timedelta(minutes=5),
    )
    if "patient" in changes and changes["patient"] is not None:
        changes = {**changes, "patient": PatientID(changes["patient"])}
    return replace(requester, **changes)


class FakeClientStore:
    """`ClientStore` in memory."""

    def __init__(self, *clients: Client) -> None:
        self.clients = {client.id: client for client in clients}
        self.reads = 0

    def find(self, client_id: str) -> Client | None:
        self.reads += 1
        return self.clients.get(ClientID(client_id))

    def list_all(self) -> Sequence[Client]:
        return [self.clients[key] for key in sorted(self.clients)]

    def save(self, client: Client, now: datetime) -> bool:
        new = client.id not in self.clients
        self.clients[client.id] = client
        return new

    def disable(self, client_id: str, now: datetime) -> bool:
        client = self.clients.get(ClientID(client_id))
        if client is None:
            return False
        if client.enabled:
            self.clients[client.id] = replace(client, disabled_at=now)
        return True


class FakeDeclarations:
    """`Declarations` in memory; each stands for half an hour unless told otherwise."""

    def __init__(self, lasts: timedelta = timedelta(minutes=30)) -> None:
        self.lasts = lasts
        self.made: list[Declaration] = []

    def declare(self, client: Client, subject: Subject, stated: BreakGlass, now: datetime) -> tuple[Declaration, bool]:
        said = (client.id, subject.id, stated.patient, stated.reason)
        for one in self.made:
            if (one.client_id, one.subject.id, one.patient, one.reason) == said and now < one.until:
                return one, False
        declaration = Declaration(
            id=f"declaration-{len(self.made) + 1}",
            client_id=client.id,
            client_name=client.name,
            organization=client.organization,
            subject=subject,
            patient=stated.patient,
            reason=stated.reason,
            declared_at=now,
            until=now + self.lasts,
        )
        self.made.append(declaration)
        return declaration, True

    def find(self, id_: str) -> Declaration | None:
        return next((one for one in self.made if one.id == id_), None)


class FakeUsedAssertions:
    """`SingleUse` in memory."""

    def __init__(self) -> None:
        self.used: set[tuple[str, str]] = set()

    def use(self, issuer: str, token_id: str, *, expires_at: datetime, now: datetime) -> bool:
        fresh = (issuer, token_id) not in self.used
        self.used.add((issuer, token_id))
        return fresh


class FakeAuditLog:
    """`AuditLog` in memory; it fails while `broken`."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []
        self.broken = False

    def record(self, records: Sequence[AuditRecord]) -> None:
        if self.broken:
            raise AuditUnavailable("the audit can't be stored")
        self.records.extend(records)


class FakeKeyServer:
    """Stands for the addresses clients publish their keys at: what each answers, and how often it was asked."""

    def __init__(self, fresh_s: float = 300.0) -> None:
        self.answers: dict[str, bytes | Exception] = {}
        self.fresh_s = fresh_s
        self.asked = 0

    def __call__(self, uri: str) -> FetchedJWKS:
        self.asked += 1
        answer = self.answers[uri]
        if isinstance(answer, Exception):
            raise answer
        return FetchedJWKS(answer, self.fresh_s)


class FakeClock:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def an_authenticator(keys: KeyRing, *clients: Client, base_url: str = BASE_URL) -> BearerAuthenticator:
    """An authenticator that knows `clients` (the EHR, where none is given)."""
    return BearerAuthenticator(keys, ClientRegistry(FakeClientStore(*clients or (a_client(),))), issuer=base_url)


def a_verifier(*clients: Client, used: Any = None, fetch: Any = None) -> AssertionVerifier:
    """A verifier that knows `clients` (the EHR, where none is given)."""
    registry = ClientRegistry(FakeClientStore(*clients or (a_client(),)))
    return AssertionVerifier(
        registry, ClientKeys(fetch or FakeKeyServer()), used or FakeUsedAssertions(), audience=TOKEN_URL
    )


def backend_services(
    keys: KeyRing, audit: Any, *clients: Client, declarations: Declarations = NO_DECLARATIONS, **parts: Any
) -> BackendServices:
    """The token service over in-memory parts."""
    verifier = a_verifier(*clients, **parts)
    return BackendServices(verifier, keys, audit, issuer=BASE_URL, declarations=declarations)


def header_of(token: str) -> dict[str, Any]:
    """What a JWT says of itself before its claims."""
    head = token.split(".", 1)[0]
    header: dict[str, Any] = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    return header
