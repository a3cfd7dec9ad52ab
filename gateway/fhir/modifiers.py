"""Does a resource say something that changes its meaning and that nobody here understands? (FHIR R4 §2.4.0.1)"""

from collections.abc import Iterator
from typing import Any

from gateway.errors import UnknownModifier


def require_understood(resource: Any, root: str) -> None:
    """`resource` has no `modifierExtension` and no `implicitRules`: none is known here.

    Raises UnknownModifier that names the element's path (IHE PDQm ITI-119: 400, and no Patient is answered).
    """
    for path in _modifiers(resource, root):
        raise UnknownModifier(f"{path}: not understood, and it may change what the rest means")


def _modifiers(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name in ("modifierExtension", "implicitRules"):
            if value.get(name):
                yield f"{path}.{name}"
        for name, part in value.items():
            if isinstance(part, (dict, list)) and name.lstrip("_").isalnum():
                yield from _modifiers(part, f"{path}.{name[:40]}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _modifiers(part, f"{path}[{number}]")
