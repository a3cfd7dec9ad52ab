"""Typed values from the environment's text, with every problem gathered. Only `config.py` says what is read."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.rates import DEFAULTS, Rates, parse_rates

T = TypeVar("T")
S = TypeVar("S", bound=str)
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s:][^\s]*")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Reader:
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
        return self._parsed(name, host_and_port_of(default), host_and_port_of, "host:port")

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


def host_and_port_of(text: str) -> tuple[str, int]:
    """The two parts of `host:port`. Raises ValueError."""
    parts = urlsplit("//" + text)
    if not parts.hostname or not parts.port or parts.path:
        raise ValueError
    return parts.hostname, parts.port
