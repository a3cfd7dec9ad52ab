"""Runs in the validator's own environment: reads a FHIR R4 resource a line, writes its problems as a JSON list a line.

It imports nothing of the gateway or of the other tests, and knows each resource type by the definitions that Google's
FHIR libraries generate from HL7's.
"""

import importlib
import json
import re
import sys

from google.fhir.r4 import json_format

PACKAGE = "google.fhir.r4.proto.core.resources"


def message_class(resource_type: str) -> type | None:
    """The class that stands for a resource type, if there is such a type."""
    if not re.fullmatch(r"[A-Z][A-Za-z]{1,40}", resource_type):
        return None
    name = "bundle_and_contained_resource" if resource_type == "Bundle" else _snake_case(resource_type)
    try:
        module = importlib.import_module(f"{PACKAGE}.{name}_pb2")
    except ImportError:
        return None
    found: type = getattr(module, resource_type)
    return found


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def problems(line: str) -> list[str]:
    """What is wrong with the resource in `line`; nothing if it holds."""
    try:
        resource_type = json.loads(line)["resourceType"]
    except (ValueError, KeyError, TypeError):
        return ["not a FHIR resource in JSON"]
    wanted = message_class(str(resource_type))
    if wanted is None:
        return [f"{resource_type} is not a resource type of R4"]
    try:
        json_format.json_fhir_string_to_proto(line, wanted, validate=True, default_timezone="Z")
    except Exception as exc:  # noqa: BLE001 - whatever it raises, the resource is not one it can read
        return [f"{type(exc).__name__}: {exc}"]
    return []


def main() -> None:
    """Answers until standard input ends."""
    sys.stdout.write('"ready"\n')
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(problems(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
