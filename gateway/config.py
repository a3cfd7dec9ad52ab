"""The settings: read from the environment in this one place, checked all together, frozen."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from gateway.environment import Network, Reader, host_and_port_of
from gateway.errors import ConfigurationError
from gateway.model import ImplicitPolicy
from gateway.provider_settings import PROVIDER_SETTINGS, ProviderSettings, read_provider
from gateway.rates import DEFAULTS, Rates
from gateway.web_origin import origin_of

Environment = Literal["development", "production"]
Switch = Literal["off", "on"]
_SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator decides. `docs/reference/settings.md` describes each; a test holds the two together."""

    base_url: str
    listen_host: str = "127.0.0.1"
    listen_port: int = 8080
    workers: int = 1
    threads: int = 16
    data_dir: Path = Path("var")
    database_url: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)
    environment: Environment = "development"
    consent_policy: ImplicitPolicy = "deny"
    consent_policy_uris: frozenset[str] = frozenset()
    deadline: timedelta = timedelta(milliseconds=8000)
    keys_file: Path = Path("var/keys.json")
    strong_identifier_systems: frozenset[str] = frozenset()
    metrics_allow: tuple[Network, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    matching: Switch = "off"
    matching_link_bits: float | None = None
    matching_mean_bits: float | None = None
    matching_review_bits: float | None = None
    matching_algorithm_file: Path | None = None
    break_glass: timedelta = timedelta(minutes=30)
    break_glass_roles: frozenset[str] = frozenset()
    session_idle: timedelta = timedelta(minutes=15)
    session_longest: timedelta = timedelta(hours=8)
    provider: ProviderSettings | None = None
    """The identity provider that people may sign in at, if there is one."""
    age_of_majority: int = 18
    time_zone: str = "UTC"
    rate_limits: Rates = field(default_factory=lambda: DEFAULTS)
    adt_listen: str = ""
    adt_metrics_listen: str = ""
    adt_tls_cert_file: Path | None = None
    adt_tls_key_file: Path | None = None
    adt_tls_ca_file: Path | None = None
    audit_checkpoint_records: int = 10_000
    audit_checkpoint_every: timedelta = timedelta(seconds=60)
    audit_checkpoint_dir: Path | None = None
    audit_checkpoint_urls: tuple[str, ...] = ()
    audit_checkpoint_syslog: str = ""
    audit_retention_years: int = 6
    alert_webhook: str = ""
    alert_webhook_secret: str = field(default="", repr=False)
    alert_smtp: str = field(default="", repr=False)
    alert_mail_from: str = ""
    alert_mail_to: tuple[str, ...] = ()
    alert_not_found: int = 30
    alert_patients: int = 50
    atna_syslog: str = ""
    atna_ca_file: Path | None = None
    atna_cert_file: Path | None = None
    atna_key_file: Path | None = None
    cors_origins: frozenset[str] = frozenset()
    viewer_client: str = ""

    @property
    def fhir_base(self) -> str:
        """The FHIR R4 base URL, the `[base]` of every link."""
        return self.base_url + "/fhir/r4"

    @property
    def token_url(self) -> str:
        """The token endpoint, `aud` of client assertions."""
        return self.base_url + "/oauth/token"

    @property
    def matching_bits(self) -> dict[str, float]:
        """Thresholds of matching that differ from the algorithm's own: `link`, `mean`, `review`."""
        stated = {
            "link": self.matching_link_bits,
            "mean": self.matching_mean_bits,
            "review": self.matching_review_bits,
        }
        return {name: bits for name, bits in stated.items() if bits is not None}

    @property
    def adt_address(self) -> tuple[str, int] | None:
        """Where the HL7 v2 feed listens; None where it doesn't."""
        return host_and_port_of(self.adt_listen) if self.adt_listen else None

    @property
    def adt_metrics_address(self) -> tuple[str, int] | None:
        """Where the HL7 v2 feed's own `/metrics` listens; None where it doesn't."""
        return host_and_port_of(self.adt_metrics_listen) if self.adt_metrics_listen else None

    @property
    def production(self) -> bool:
        """Whether stand-ins, sample keys and plain HTTP are refused."""
        return self.environment == "production"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """The settings in `env`. Raises ConfigurationError that lists every problem."""
        reader = Reader(env)
        host, port = reader.host_and_port("GATEWAY_LISTEN", "127.0.0.1:8080")
        environment = reader.choice("GATEWAY_ENVIRONMENT", get_args(Environment), "development")
        data_dir = Path(reader.text("GATEWAY_DATA_DIR", "./var"))
        shown = f"[{host}]" if ":" in host else host
        settings = cls(
            base_url=reader.text("GATEWAY_BASE_URL", f"http://{shown}:{port}").rstrip("/"),
            listen_host=host,
            listen_port=port,
            workers=reader.number("GATEWAY_WORKERS", 1, 1, 256),
            threads=reader.number("GATEWAY_THREADS", 16, 1, 1024),
            data_dir=data_dir,
            database_url=reader.text("GATEWAY_DATABASE_URL", f"sqlite:///{data_dir / 'gateway.db'}"),
            redis_url=reader.text("GATEWAY_REDIS_URL", ""),
            environment=environment,
            consent_policy=reader.choice("GATEWAY_CONSENT_POLICY", get_args(ImplicitPolicy), "deny"),
            consent_policy_uris=reader.uris("GATEWAY_CONSENT_POLICY_URIS"),
            deadline=timedelta(milliseconds=reader.number("GATEWAY_DEADLINE_MS", 8000, 50, 300_000)),
            keys_file=Path(reader.text("GATEWAY_KEYS_FILE", str(data_dir / "keys.json"))),
            strong_identifier_systems=reader.uris("GATEWAY_STRONG_IDENTIFIER_SYSTEMS"),
            matching=reader.choice("GATEWAY_MATCHING", get_args(Switch), "off"),
            matching_link_bits=reader.bits("GATEWAY_MATCHING_LINK_BITS"),
            matching_mean_bits=reader.bits("GATEWAY_MATCHING_MEAN_BITS"),
            matching_review_bits=reader.bits("GATEWAY_MATCHING_REVIEW_BITS"),
            matching_algorithm_file=reader.path("GATEWAY_MATCHING_ALGORITHM_FILE"),
            trusted_proxies=reader.networks("GATEWAY_TRUSTED_PROXIES", ""),
            metrics_allow=reader.networks("GATEWAY_METRICS_ALLOW", "127.0.0.0/8 ::1/128"),
            break_glass=timedelta(minutes=reader.number("GATEWAY_BREAK_GLASS_MINUTES", 30, 1, 24 * 60)),
            break_glass_roles=frozenset(reader.words("GATEWAY_BREAK_GLASS_ROLES")),
            session_idle=timedelta(minutes=reader.number("GATEWAY_SESSION_IDLE_MINUTES", 15, 1, 24 * 60)),
            session_longest=timedelta(hours=reader.number("GATEWAY_SESSION_HOURS", 8, 1, 24 * 7)),
            provider=read_provider(reader, production=environment == "production"),
            age_of_majority=reader.number("GATEWAY_AGE_OF_MAJORITY", 18, 1, 120),
            time_zone=reader.time_zone("GATEWAY_TIME_ZONE", "UTC"),
            rate_limits=reader.rates("GATEWAY_RATE_LIMITS"),
            adt_listen=reader.text("GATEWAY_ADT_LISTEN", ""),
            adt_metrics_listen=reader.text("GATEWAY_ADT_METRICS_LISTEN", ""),
            adt_tls_cert_file=reader.path("GATEWAY_ADT_TLS_CERT_FILE"),
            adt_tls_key_file=reader.path("GATEWAY_ADT_TLS_KEY_FILE"),
            adt_tls_ca_file=reader.path("GATEWAY_ADT_TLS_CA_FILE"),
            audit_checkpoint_records=reader.number("GATEWAY_AUDIT_CHECKPOINT_RECORDS", 10_000, 1, 10_000_000),
            audit_checkpoint_every=timedelta(seconds=reader.number("GATEWAY_AUDIT_CHECKPOINT_SECONDS", 60, 1, 86_400)),
            audit_checkpoint_dir=reader.path("GATEWAY_AUDIT_CHECKPOINT_DIR"),
            audit_checkpoint_urls=tuple(reader.words("GATEWAY_AUDIT_CHECKPOINT_URLS")),
            audit_checkpoint_syslog=reader.text("GATEWAY_AUDIT_CHECKPOINT_SYSLOG", ""),
            audit_retention_years=reader.number("GATEWAY_AUDIT_RETENTION_YEARS", 6, 1, 100),
            alert_webhook=reader.text("GATEWAY_ALERT_WEBHOOK", ""),
            alert_webhook_secret=reader.text("GATEWAY_ALERT_WEBHOOK_SECRET", ""),
            alert_smtp=reader.text("GATEWAY_ALERT_SMTP", ""),
            alert_mail_from=reader.text("GATEWAY_ALERT_MAIL_FROM", ""),
            alert_mail_to=tuple(reader.words("GATEWAY_ALERT_MAIL_TO")),
            alert_not_found=reader.number("GATEWAY_ALERT_NOT_FOUND", 30, 1, 1_000_000),
            alert_patients=reader.number("GATEWAY_ALERT_PATIENTS", 50, 1, 1_000_000),
            atna_syslog=reader.text("GATEWAY_ATNA_SYSLOG", ""),
            atna_ca_file=reader.path("GATEWAY_ATNA_CA_FILE"),
            atna_cert_file=reader.path("GATEWAY_ATNA_CERT_FILE"),
            atna_key_file=reader.path("GATEWAY_ATNA_KEY_FILE"),
            cors_origins=frozenset(reader.words("GATEWAY_CORS_ORIGINS")),
            viewer_client=reader.text("GATEWAY_VIEWER_CLIENT", ""),
        )
        problems = [
            *reader.problems,
            *_contradictions(settings, env),
            *_adt_problems(settings),
            *_adt_metrics_problems(settings),
            *_checkpoint_problems(settings),
            *_alert_problems(settings),
            *_atna_problems(settings),
            *_cors_problems(settings),
            *_unknown(env),
        ]
        if problems:
            raise ConfigurationError(problems)
        return settings


def _contradictions(settings: Settings, env: Mapping[str, str]) -> list[str]:
    problems = []
    if not _is_origin(settings.base_url):
        problems.append("GATEWAY_BASE_URL must be http(s)://host[:port] without a path")
    if settings.database_url.partition(":")[0].partition("+")[0] not in ("sqlite", "postgresql"):
        problems.append("GATEWAY_DATABASE_URL must be a sqlite: or postgresql: URL")
    if settings.workers > 1 and not settings.redis_url:
        problems.append("GATEWAY_WORKERS above 1 needs GATEWAY_REDIS_URL (the in-process cache serves one process)")
    if settings.redis_url and not _is_redis_url(settings.redis_url):
        problems.append("GATEWAY_REDIS_URL must be a redis://, rediss:// or unix:// URL")
    if settings.production:
        if not settings.base_url.lower().startswith("https:"):
            problems.append("GATEWAY_BASE_URL must be https in production")
        if settings.workers > 1 and settings.database_url.startswith("sqlite"):
            problems.append("GATEWAY_DATABASE_URL: SQLite serves one worker in production; use PostgreSQL")
        if not all(rate.most for rate in settings.rate_limits.values()):
            problems.append("GATEWAY_RATE_LIMITS: no limit may be 0 in production")
        if not settings.keys_file.exists():
            problems.append(f"GATEWAY_KEYS_FILE: {settings.keys_file} must exist in production")
    return problems


def _is_redis_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("redis", "rediss", "unix") and parts.port != 0
    except ValueError:
        return False


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return False
    return bool(named) and not (parts.path or parts.query or parts.fragment)


def _cors_problems(settings: Settings) -> list[str]:
    if all(origin == origin_of(origin) for origin in settings.cors_origins):
        return []
    return ["GATEWAY_CORS_ORIGINS must be origins as browsers write them, such as https://viewer.example"]


def _adt_metrics_problems(settings: Settings) -> list[str]:
    if not settings.adt_metrics_listen:
        return []
    try:
        host, _ = host_and_port_of(settings.adt_metrics_listen)
    except ValueError:
        return ["GATEWAY_ADT_METRICS_LISTEN must be host:port"]
    # Whoever may read the gateway's own counts is a matter of GATEWAY_METRICS_ALLOW; here it is this machine.
    return [] if _is_loopback(host) else ["GATEWAY_ADT_METRICS_LISTEN must be a loopback address"]


def _adt_problems(settings: Settings) -> list[str]:
    pair = (settings.adt_tls_cert_file, settings.adt_tls_key_file)
    files = {"CERT": pair[0], "KEY": pair[1], "CA": settings.adt_tls_ca_file}
    problems = [
        f"GATEWAY_ADT_TLS_{name}_FILE: {file} is not there"
        for name, file in files.items()
        if file and not os.path.isfile(file)
    ]
    if (None in pair and any(pair)) or (settings.adt_tls_ca_file and not all(pair)):
        problems.append("GATEWAY_ADT_TLS_CERT_FILE and GATEWAY_ADT_TLS_KEY_FILE go together, and _CA_FILE needs both")
    if not settings.adt_listen:
        return problems
    try:
        host, _ = host_and_port_of(settings.adt_listen)
    except ValueError:
        return [*problems, "GATEWAY_ADT_LISTEN must be host:port"]
    if settings.production and not settings.adt_tls_ca_file and not _is_loopback(host):
        # MLLP itself asks nobody who they are.
        problems.append("GATEWAY_ADT_LISTEN in production is a loopback address, or needs GATEWAY_ADT_TLS_CA_FILE")
    return problems


def _checkpoint_problems(settings: Settings) -> list[str]:
    problems = []
    for url in settings.audit_checkpoint_urls:
        if not _is_web_address(url):
            problems.append("GATEWAY_AUDIT_CHECKPOINT_URLS must be http(s) URLs, separated by spaces or commas")
        elif settings.production and not url.startswith("https:"):
            problems.append("GATEWAY_AUDIT_CHECKPOINT_URLS must be https in production")
    if settings.audit_checkpoint_syslog and not _is_syslog_address(settings.audit_checkpoint_syslog):
        problems.append("GATEWAY_AUDIT_CHECKPOINT_SYSLOG must be udp://host:port, tcp://host:port or tls://host:port")
    return problems


def _alert_problems(settings: Settings) -> list[str]:
    problems = []
    if settings.alert_webhook:
        if not _is_web_address(settings.alert_webhook):
            problems.append("GATEWAY_ALERT_WEBHOOK must be an http(s) URL")
        elif settings.production and not settings.alert_webhook.startswith("https:"):
            problems.append("GATEWAY_ALERT_WEBHOOK must be https in production")
        if len(settings.alert_webhook_secret) < _SHORTEST_SECRET:
            problems.append(f"GATEWAY_ALERT_WEBHOOK needs GATEWAY_ALERT_WEBHOOK_SECRET, {_SHORTEST_SECRET} characters")
    if settings.alert_smtp:
        if not _is_address(settings.alert_smtp, "smtp", "smtps"):
            problems.append("GATEWAY_ALERT_SMTP must be smtp://[user:password@]host:port, or smtps://")
        if not settings.alert_mail_from or not settings.alert_mail_to:
            problems.append("GATEWAY_ALERT_SMTP needs GATEWAY_ALERT_MAIL_FROM and GATEWAY_ALERT_MAIL_TO")
    return problems


def _atna_problems(settings: Settings) -> list[str]:
    files = {"CA": settings.atna_ca_file, "CERT": settings.atna_cert_file, "KEY": settings.atna_key_file}
    problems = [
        f"GATEWAY_ATNA_{name}_FILE: {file} is not there"
        for name, file in files.items()
        if file and not os.path.isfile(file)
    ]
    if (settings.atna_cert_file is None) != (settings.atna_key_file is None):
        problems.append("GATEWAY_ATNA_CERT_FILE and GATEWAY_ATNA_KEY_FILE go together")
    if settings.atna_syslog and not _is_address(settings.atna_syslog, "tls"):
        problems.append("GATEWAY_ATNA_SYSLOG must be tls://host:port")
    return problems


def _is_address(url: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(url)
        named = parts.scheme in schemes and parts.hostname and parts.port
    except ValueError:
        return False
    return bool(named) and not (parts.path or parts.query or parts.fragment)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        return bool(named) and len(url) <= 500 and not parts.username
    except ValueError:
        return False


def _is_syslog_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("udp", "tcp", "tls") and parts.hostname and parts.port
    except ValueError:
        return False
    return bool(named) and not (parts.path or parts.query or parts.fragment or parts.username)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


KNOWN = frozenset(
    "GATEWAY_" + name.upper()
    for name in (
        *("base_url", "listen", "workers", "threads", "data_dir", "database_url", "redis_url", "environment"),
        *("consent_policy", "consent_policy_uris", "deadline_ms", "keys_file", "strong_identifier_systems"),
        *("metrics_allow", "trusted_proxies"),
        *("matching", "matching_link_bits", "matching_mean_bits", "matching_review_bits", "matching_algorithm_file"),
        *("break_glass_minutes", "break_glass_roles"),
        *("session_idle_minutes", "session_hours", "age_of_majority", "time_zone"),
        *PROVIDER_SETTINGS,
        "rate_limits",
        *("adt_listen", "adt_metrics_listen", "adt_tls_cert_file", "adt_tls_key_file", "adt_tls_ca_file"),
        *("audit_checkpoint_records", "audit_checkpoint_seconds", "audit_checkpoint_dir", "audit_checkpoint_urls"),
        *("audit_checkpoint_syslog", "audit_retention_years"),
        *("alert_webhook", "alert_webhook_secret", "alert_smtp", "alert_mail_from", "alert_mail_to"),
        *("alert_not_found", "alert_patients"),
        *("atna_syslog", "atna_ca_file", "atna_cert_file", "atna_key_file"),
        *("cors_origins", "viewer_client"),
    )
)


def _unknown(env: Mapping[str, str]) -> list[str]:
    return [f"{name} is not a setting" for name in sorted(env) if name.startswith("GATEWAY_") and name not in KNOWN]
