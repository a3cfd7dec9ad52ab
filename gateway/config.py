"""The settings: read from the environment in this one place, checked all together, frozen."""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.errors import ConfigurationError
from gateway.model import ImplicitPolicy
from gateway.rates import DEFAULTS, Rates, parse_rates
from gateway.web_origin import origin_of

Environment = Literal["development", "production"]
Switch = Literal["off", "on"]
T = TypeVar("T")
S = TypeVar("S", bound=str)
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s:][^\s]*")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
    matching: Switch = "off"
    matching_link_bits: float | None = None
    matching_mean_bits: float | None = None
    matching_review_bits: float | None = None
    matching_algorithm_file: Path | None = None
    break_glass: timedelta = timedelta(minutes=30)
    break_glass_roles: frozenset[str] = frozenset()
    session_idle: timedelta = timedelta(minutes=15)
    session_longest: timedelta = timedelta(hours=8)
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
    cors_origins: frozenset[str] = frozenset()

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
        return _host_and_port(self.adt_listen) if self.adt_listen else None

    @property
    def adt_metrics_address(self) -> tuple[str, int] | None:
        """Where the HL7 v2 feed's own `/metrics` listens; None where it doesn't."""
        return _host_and_port(self.adt_metrics_listen) if self.adt_metrics_listen else None

    @property
    def production(self) -> bool:
        """Whether stand-ins, sample keys and plain HTTP are refused."""
        return self.environment == "production"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """The settings in `env`. Raises ConfigurationError that lists every problem."""
        reader = _Reader(env)
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
            metrics_allow=reader.networks("GATEWAY_METRICS_ALLOW", "127.0.0.0/8 ::1/128"),
            break_glass=timedelta(minutes=reader.number("GATEWAY_BREAK_GLASS_MINUTES", 30, 1, 24 * 60)),
            break_glass_roles=frozenset(reader.words("GATEWAY_BREAK_GLASS_ROLES")),
            session_idle=timedelta(minutes=reader.number("GATEWAY_SESSION_IDLE_MINUTES", 15, 1, 24 * 60)),
            session_longest=timedelta(hours=reader.number("GATEWAY_SESSION_HOURS", 8, 1, 24 * 7)),
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
            cors_origins=frozenset(reader.words("GATEWAY_CORS_ORIGINS")),
        )
        problems = [
            *reader.problems,
            *_contradictions(settings, env),
            *_adt_problems(settings),
            *_adt_metrics_problems(settings),
            *_checkpoint_problems(settings),
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
        host, _ = _host_and_port(settings.adt_metrics_listen)
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
        host, _ = _host_and_port(settings.adt_listen)
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


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and len(url) <= 500)
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


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit("//" + text)
    if not parts.hostname or not parts.port or parts.path:
        raise ValueError
    return parts.hostname, parts.port


KNOWN = frozenset(
    "GATEWAY_" + name.upper()
    for name in (
        *("base_url", "listen", "workers", "threads", "data_dir", "database_url", "redis_url", "environment"),
        *("consent_policy", "consent_policy_uris", "deadline_ms", "keys_file", "strong_identifier_systems"),
        "metrics_allow",
        *("matching", "matching_link_bits", "matching_mean_bits", "matching_review_bits", "matching_algorithm_file"),
        *("break_glass_minutes", "break_glass_roles"),
        *("session_idle_minutes", "session_hours", "age_of_majority", "time_zone"),
        "rate_limits",
        *("adt_listen", "adt_metrics_listen", "adt_tls_cert_file", "adt_tls_key_file", "adt_tls_ca_file"),
        *("audit_checkpoint_records", "audit_checkpoint_seconds", "audit_checkpoint_dir", "audit_checkpoint_urls"),
        *("audit_checkpoint_syslog", "audit_retention_years"),
        "cors_origins",
    )
)


def _unknown(env: Mapping[str, str]) -> list[str]:
    return [f"{name} is not a setting" for name in sorted(env) if name.startswith("GATEWAY_") and name not in KNOWN]


class _Reader:
    """Reads typed values and gathers what is wrong, so that an operator sees all of it at once."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self._env.get(name, "").strip() or default

    def path(self, name: str) -> Path | None:
        text = self.text(name, "")
        return Path(text) if text else None

    def words(self, name: str) -> list[str]:
        return [word for word in re.split(r"[,\s]+", self._env.get(name, "")) if word]

    def uris(self, name: str) -> frozenset[str]:
        words = self.words(name)
        if not all(_ABSOLUTE_URI.fullmatch(word) for word in words):
            self.problems.append(f"{name} must be absolute URIs, such as urn:oid:2.999, separated by spaces or commas")
        return frozenset(words)

    def _parsed(self, name: str, default: T, parse: Callable[[str], T], expected: str) -> T:
        text = self._env.get(name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except ValueError:
            self.problems.append(f"{name} must be {expected}")
            return default

    def number(self, name: str, default: int, least: int, most: int) -> int:
        def parse(text: str) -> int:
            value = int(text)
            if not least <= value <= most:
                raise ValueError
            return value

        return self._parsed(name, default, parse, f"a whole number from {least} to {most}")

    def rates(self, name: str) -> Rates:
        return self._parsed(name, DEFAULTS, parse_rates, "kind=number words, such as identifiers=1000")

    def bits(self, name: str) -> float | None:
        def parse(text: str) -> float | None:
            value = float(text)
            if not -100 <= value <= 100:
                raise ValueError
            return value

        return self._parsed(name, None, parse, "a number of bits from -100 to 100")

    def choice(self, name: str, choices: tuple[S, ...], default: S) -> S:
        def parse(text: str) -> S:
            return choices[choices.index(text)]

        return self._parsed(name, default, parse, "one of " + ", ".join(choices))

    def host_and_port(self, name: str, default: str) -> tuple[str, int]:
        return self._parsed(name, _host_and_port(default), _host_and_port, "host:port")

    def time_zone(self, name: str, default: str) -> str:
        def parse(text: str) -> str:
            try:
                return ZoneInfo(text).key
            except (ZoneInfoNotFoundError, OSError) as exc:
                raise ValueError from exc

        return self._parsed(name, default, parse, "the IANA name of a time zone, such as Europe/Zurich")

    def networks(self, name: str, default: str) -> tuple[Network, ...]:
        def parse(text: str) -> tuple[Network, ...]:
            return tuple(ipaddress.ip_network(word) for word in re.split(r"[,\s]+", text) if word)

        return self._parsed(name, parse(default), parse, "addresses or networks (CIDR), separated by spaces or commas")
