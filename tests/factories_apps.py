"""What people have let apps do, made up: every field open to change."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.auth.app_grants import AppGrant, CodeTerms
from gateway.auth.b2b import Subject
from gateway.model import ClientID, PatientID

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
TERMS = CodeTerms(redirect_uri="https://app.example/callback", challenge="c" * 43, nonce="n")


def a_grant(**changes: Any) -> AppGrant:
    """What a patient let an app do."""
    known: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "client_id": ClientID("viewer"),
        "account_id": "account-1",
        "capacity": "patient",
        "patient": PatientID("person-1"),
        "delegation": None,
        "scopes": ("patient/ImagingStudy.rs", "offline_access"),
        "purposes": ("PATRQT",),
        "person": Subject(name="Pat", role="patient"),
        "signed_in_at": NOW - timedelta(minutes=1),
        "methods": ("pwd",),
        "session": "session-1",
        "granted_at": NOW,
        "until": NOW + timedelta(days=90),
    }
    return AppGrant(**(known | changes))
