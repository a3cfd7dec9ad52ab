"""Opens a signed JSON document (RFC 7515 compact, RFC 7519 claims) under rules stricter than the standards' least.

The algorithm and the type are exact, only named header parameters may occur (so no `crit`, `b64`, `zip`, `jwk` or
`x5u` ever steers anything), the key is the caller's to choose, sizes are capped before anything is decoded, and a name
that occurs twice in one JSON object refuses the whole document.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact

from gateway.errors import NotAuthenticated

SigningKey = RSAKey | ECKey
FindKey = Callable[[str | None, str, Mapping[str, Any]], SigningKey]
"""The key for (kid, alg, header). Raises NotAuthenticated where there is not exactly one."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_MOST_HEADER_BYTES = 2048
_LATEST = 2**40
"""Beyond year 36000: no honest NumericDate is greater."""


@dataclass(frozen=True, slots=True)
class JWSProfile:
    """What one kind of signed document looks like."""

    algorithms: frozenset[str]
    types: frozenset[str | None]
    """Values of `typ` in lower case; None where it may be left out."""
    parameters: frozenset[str]
    """Header parameters that may occur."""
    most_characters: int
    registry: JWSRegistry

    @classmethod
    def of(
        cls, *, algorithms: tuple[str, ...], types: tuple[str | None, ...], parameters: str, most_characters: int
    ) -> "JWSProfile":
        """A profile, its signature registry made once."""
        registry = JWSRegistry(algorithms=algorithms)
        registry.max_header_length = _MOST_HEADER_BYTES
        return cls(frozenset(algorithms), frozenset(types), frozenset(parameters.split()), most_characters, registry)


def open_jws(token: str, profile: JWSProfile, find_key: FindKey) -> dict[str, Any]:
    """The claims of `token`, its signature verified. Raises NotAuthenticated with words of ours."""
    if len(token) > profile.most_characters:
        raise NotAuthenticated("too long")
    if _COMPACT.fullmatch(token) is None:
        raise NotAuthenticated("not a signed JWT")
    header = _parse_object(token.split(".", 1)[0])
    kid, algorithm = _check_header(header, profile)
    key = find_key(kid, algorithm, header)
    try:
        verified = deserialize_compact(token, key, registry=profile.registry)
    except (JoseError, ValueError) as exc:
        raise NotAuthenticated("the signature does not hold") from exc
    return _loads(verified.payload or b"")


def read_claims_unverified(token: str, profile: JWSProfile) -> dict[str, Any]:
    """What `token` claims, believed by nobody yet: only to find out whose key to verify it with."""
    if len(token) > profile.most_characters or _COMPACT.fullmatch(token) is None:
        raise NotAuthenticated("not a signed JWT")
    return _parse_object(token.split(".", 2)[1])


def numeric_date(claims: Mapping[str, Any], name: str, *, whole: bool) -> float | None:
    """The NumericDate `name`, None where absent. Raises NotAuthenticated unless it is a sane number (not a text)."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    sane = type(value) is int or (not whole and type(value) is float)
    if not sane or not 0 <= value < _LATEST:  # type: ignore[operator]  # `sane` says it is a number
        raise NotAuthenticated(f"{name} is not a sane time")
    return value


def _check_header(header: Mapping[str, Any], profile: JWSProfile) -> tuple[str | None, str]:
    if not header.keys() <= profile.parameters:
        raise NotAuthenticated("a header parameter is not allowed")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or algorithm not in profile.algorithms:
        raise NotAuthenticated("the algorithm is not allowed")
    if not (kind is None or isinstance(kind, str)) or (kind.lower() if kind else kind) not in profile.types:
        raise NotAuthenticated("the type is another")
    if not (kid is None or (isinstance(kid, str) and kid)):
        raise NotAuthenticated("kid is not a text")
    return kid, algorithm


def _parse_object(segment: str) -> dict[str, Any]:
    try:
        raw = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError as exc:
        raise NotAuthenticated("not base64url") from exc
    return _loads(raw)


def _loads(raw: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise NotAuthenticated("not JSON") from exc
    if not isinstance(value, dict):
        raise NotAuthenticated("not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a name occurs twice"
        raise ValueError(msg)
    return found


def _no_constant(text: str) -> NoReturn:
    msg = "not a JSON number"
    raise ValueError(msg)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
