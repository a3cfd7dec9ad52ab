"""A Patient as one domain sent it, read and found fit: what the index takes in."""

from dataclasses import dataclass

from gateway.model import Demographics, Identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRecord:
    """A Patient as one domain sent it."""

    source: Identifier
    """What the record is known by in its domain."""
    identifiers: tuple[Identifier, ...]
    """All of them, the source identifier too, each once."""
    demographics: Demographics
    active: bool
    content: bytes
    """The Patient as canonical JSON: equal Patients give equal bytes."""
