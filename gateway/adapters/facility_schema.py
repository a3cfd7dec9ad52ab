"""What a `[[facility]]` may say, key by key, and the registration that comes of it."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validates_schema

from gateway.adapters.credentials import UnusableKey, signing_key
from gateway.adapters.facility_fields import (
    Address,
    Choice,
    Flag,
    Text,
    Whole,
    aet_problem,
    id_problem,
    line_problem,
    uri_problem,
    wildcard_problem,
    zone_problem,
)
from gateway.adapters.facility_url import base_url, origin
from gateway.model import Facility, FacilityAuth, FacilityID, RetrieveMode

UNKNOWN = "unknown-key"
_MISSING = "is missing"
_BUILT = frozenset({"dicomweb"})
_NOT_BUILT = frozenset({"freshness_s", "ask_by_demographics", "downtime"})
"""Keys of the contract that would promise what this version does not do."""
_FORMS_OF_SECRET = {
    "password": ("password", "password_env"),
    "token": ("token", "token_env"),
    "client_secret": ("client_secret", "client_secret_env"),
    "private_key": ("private_key_file", "private_key_env"),
}
_AUTH_KEYS_OF: dict[str, tuple[str, ...]] = {
    "none": (),
    "basic": ("username", "password"),
    "bearer": ("token",),
    "oauth2": ("token_url", "client_id", "client_secret", "private_key", "scope"),
    "mtls": ("cert_file", "key_file"),
}
_AUTH_NEEDED: dict[str, tuple[str, ...]] = _AUTH_KEYS_OF | {"oauth2": ("token_url", "client_id")}
_ADAPTER_KEYS: dict[str, tuple[str, ...]] = {
    "dicomweb": ("query_url",),
    "dimse": ("host", "port", "called_aet", "calling_aet"),
    "fhir": ("query_url", "link_origins"),
}
_ADAPTER_NEEDED = _ADAPTER_KEYS | {"dimse": (*_ADAPTER_KEYS["dimse"], "link_url"), "fhir": ("query_url",)}

Problems = dict[str, list[str]]


class _Schema(Schema):
    """Refuses unknown keys, and knows where secrets and files are looked for."""

    class Meta:
        unknown = RAISE

    def __init__(self, *, environment: Mapping[str, str], folder: Path, production: bool) -> None:
        super().__init__()
        self.error_messages = {**self.error_messages, "unknown": UNKNOWN, "type": "must be a table"}
        self.environment = environment
        self.folder = folder
        self.production = production


class AuthSchema(_Schema):
    """`[facility.auth]`."""

    type = Choice(tuple(_AUTH_KEYS_OF))
    username = Text(line_problem)
    password = Text(line_problem)
    password_env = Text(line_problem)
    token = Text(line_problem)
    token_env = Text(line_problem)
    token_url = Address(base_url)
    client_id = Text(line_problem)
    client_secret = Text(line_problem)
    client_secret_env = Text(line_problem)
    private_key_file = Text(line_problem)
    private_key_env = Text(line_problem)
    scope = Text(line_problem)
    cert_file = Text(line_problem)
    key_file = Text(line_problem)
    ca_file = Text(line_problem)

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _holds_together(self, data: dict[str, Any], original: object, **_: Any) -> None:
        if not isinstance(original, Mapping):
            return
        kind = data.get("type", "none" if "type" not in original else None)
        problems = {} if kind is None else _problems_of(kind, original.keys() & self.fields.keys())
        for name, forms in _FORMS_OF_SECRET.items():
            given = [form for form in forms if form in original]
            if len(given) > 1:
                problems[given[0]] = [f"stands beside {given[1]}; give one of them"]
            elif given:
                self._resolve(name, given[0], data, problems)
        for key in ("cert_file", "key_file", "ca_file"):
            if key in data:
                data[key] = self._file(key, data[key], problems)
        if problems:
            raise ValidationError(problems)

    def _resolve(self, name: str, key: str, data: dict[str, Any], problems: Problems) -> None:
        """The secret itself, wherever it is kept."""
        value = data.pop(key, None)
        if value is None:
            return
        if key.endswith("_env"):
            value = self.environment.get(value)
            if not value:
                problems[key] = ["names an environment variable that is not set"]
                return
        elif key.endswith("_file"):
            path = self._file(key, value, problems)
            value = Path(path).read_text(errors="replace") if path else ""
        if name == "private_key" and key not in problems:
            try:
                signing_key(value)
            except UnusableKey as exc:
                problems[key] = [f"holds {exc}"]
        data[name] = value

    def _file(self, key: str, name: str, problems: Problems) -> str:
        path = (self.folder / name).absolute()
        try:
            with path.open("rb"):
                return str(path)
        except OSError:
            problems[key] = ["names a file that can't be read"]
            return ""

    @post_load
    def _registered(self, data: dict[str, Any], **_: Any) -> FacilityAuth:
        return FacilityAuth(**data)


class FacilitySchema(_Schema):
    """One `[[facility]]`."""

    id = Text(id_problem, required=True, error_messages={"required": _MISSING})
    name = Text(line_problem, required=True, error_messages={"required": _MISSING})
    identifier_system = Text(uri_problem, required=True, error_messages={"required": _MISSING})
    issuer = Text(wildcard_problem)
    time_zone = Text(zone_problem)
    adapter = Choice(tuple(_ADAPTER_KEYS))
    query_url = Address(base_url)
    link_url = Address(base_url)
    deadline_ms = Whole(50, 60_000)
    retrieve = Choice(get_args(RetrieveMode))
    accession_system = Text(uri_problem)
    gate_url = Address(base_url)
    host = Text(wildcard_problem)
    port = Whole(1, 65_535)
    called_aet = Text(aet_problem)
    calling_aet = Text(aet_problem)
    link_origins = fields.List(Address(origin), error_messages={"invalid": "must be a list of URLs"})
    part2 = Flag()
    freshness_s = Whole(0, 86_400)
    ask_by_demographics = Flag()
    suspended = Flag()
    downtime = Text(line_problem)
    auth = fields.Raw()

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _holds_together(self, data: dict[str, Any], original: Mapping[str, Any], **_: Any) -> None:
        problems: Problems = {key: ["is not available in this version"] for key in original if key in _NOT_BUILT}
        adapter = data.get("adapter", "dicomweb" if "adapter" not in original else None)
        if adapter is not None:
            problems |= {key: [_MISSING] for key in _ADAPTER_NEEDED[adapter] if key not in original}
            foreign = {key for keys in _ADAPTER_KEYS.values() for key in keys} - set(_ADAPTER_KEYS[adapter])
            problems |= {key: [f'does not belong to adapter "{adapter}"'] for key in original if key in foreign}
            if adapter not in _BUILT:
                problems["adapter"] = [f'"{adapter}" is not available in this version']
        if data.get("retrieve") == "gate" and "gate_url" not in original:
            problems["gate_url"] = ['is missing; retrieve = "gate" needs it']
        if problems:
            raise ValidationError(problems)

    @validates_schema(skip_on_field_errors=False)
    def _proves_itself(self, data: dict[str, Any], **_: Any) -> None:
        auth = AuthSchema(environment=self.environment, folder=self.folder, production=self.production)
        try:
            data["auth"] = auth.load(data.get("auth", {}))
        except ValidationError as exc:
            raise ValidationError({"auth": exc.messages_dict}) from None

    @post_load
    def _registered(self, data: dict[str, Any], **_: Any) -> Facility:
        data["id"] = FacilityID(data["id"])
        if "deadline_ms" in data:
            data["deadline"] = timedelta(milliseconds=data.pop("deadline_ms"))
        if "link_origins" in data:
            data["link_origins"] = tuple(data["link_origins"])
        if data.get("query_url") is not None and data.get("adapter", "dicomweb") == "dicomweb":
            data["query_url"] = _without_studies(data["query_url"])
        data["link_url"] = _without_studies(data.get("link_url", data.get("query_url", "")))
        if "gate_url" in data:
            data["gate_url"] = _without_studies(data["gate_url"])
        return Facility(**data)


FACILITY_KEYS = tuple(FacilitySchema._declared_fields)
AUTH_KEYS = tuple(AuthSchema._declared_fields)


def _problems_of(kind: str, keys: Collection[str]) -> Problems:
    """What is missing of, and what is foreign to, a way of proving oneself."""
    stated = {_meaning(key): key for key in sorted(keys) if key not in ("type", "ca_file")}
    problems = {name: [_MISSING] for name in _AUTH_NEEDED[kind] if name not in stated}
    if kind == "oauth2" and not {"client_secret", "private_key"} & stated.keys():
        problems["client_secret"] = ["is missing; give a client_secret or a private_key_file"]
    foreign = [key for name, key in stated.items() if name not in _AUTH_KEYS_OF[kind]]
    return problems | {key: [f'does not belong to type "{kind}"'] for key in foreign}


def _meaning(key: str) -> str:
    """The secret that a key is a form of, or the key itself."""
    return next((name for name, forms in _FORMS_OF_SECRET.items() if key in forms), key)


def _without_studies(url: str) -> str:
    """FHIR R4 Endpoint.address is the base of the service: the resource `/studies` is not part of it."""
    return url.removesuffix("/studies").rstrip("/")
