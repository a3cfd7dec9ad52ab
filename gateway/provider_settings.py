"""The settings of the identity provider that people may sign in at (OpenID Connect)."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gateway.environment import Reader

PROVIDER_SETTINGS = (
    *("oidc_issuer", "oidc_client_id", "oidc_client_secret", "oidc_key_file", "oidc_scopes", "oidc_name"),
    *("oidc_roles_claim", "oidc_patient_claim", "oidc_second_factor_acr"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Who the provider is, what the gateway is to it, and what is read in its tokens."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    key_file: Path | None = None
    scopes: tuple[str, ...] = ("openid", "profile")
    name: str = "your organisation's account"
    roles_claim: str = ""
    patient_claim: str = ""
    second_factor_acr: frozenset[str] = frozenset()


def read_provider(reader: Reader, *, production: bool) -> ProviderSettings | None:
    """The provider, None where no issuer is named. What is wrong is among the reader's problems."""
    issuer = reader.text("GATEWAY_OIDC_ISSUER", "")
    if not issuer:
        return None
    found = ProviderSettings(
        issuer=issuer,
        client_id=reader.text("GATEWAY_OIDC_CLIENT_ID", ""),
        client_secret=reader.text("GATEWAY_OIDC_CLIENT_SECRET", ""),
        key_file=reader.path("GATEWAY_OIDC_KEY_FILE"),
        scopes=tuple(reader.words("GATEWAY_OIDC_SCOPES")) or ("openid", "profile"),
        name=reader.text("GATEWAY_OIDC_NAME", "your organisation's account"),
        roles_claim=reader.text("GATEWAY_OIDC_ROLES_CLAIM", ""),
        patient_claim=reader.text("GATEWAY_OIDC_PATIENT_CLAIM", ""),
        second_factor_acr=frozenset(reader.words("GATEWAY_OIDC_SECOND_FACTOR_ACR")),
    )
    reader.problems += _problems(found, production=production)
    return found


def _problems(found: ProviderSettings, *, production: bool) -> list[str]:
    problems = []
    if not _is_address(found.issuer, production=production):
        problems.append(
            "GATEWAY_OIDC_ISSUER must be the provider's https:// URL, without a query (http in development)"
        )
    if not found.client_id:
        problems.append("GATEWAY_OIDC_CLIENT_ID is needed beside GATEWAY_OIDC_ISSUER")
    if found.client_secret and found.key_file:
        problems.append("GATEWAY_OIDC_CLIENT_SECRET and GATEWAY_OIDC_KEY_FILE: one of the two")
    if found.key_file and not found.key_file.is_file():
        problems.append(f"GATEWAY_OIDC_KEY_FILE: {found.key_file} is not there")
    if "openid" not in found.scopes:
        problems.append("GATEWAY_OIDC_SCOPES must name openid")
    return problems


def _is_address(url: str, *, production: bool) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    schemes = ("https",) if production else ("https", "http")
    return (
        parts.scheme in schemes and bool(parts.hostname) and not (parts.query or parts.fragment or "@" in parts.netloc)
    )
