"""What the authorization server says of itself."""

import json
from datetime import UTC, datetime
from pathlib import Path

from gateway.config import Settings
from gateway.db.crypto import create_key_file, read_key_file
from gateway.oauth.metadata import authorization_server, jwks, smart_configuration
from tests.factories_auth import a_client, an_access_token, an_authenticator


def test_documents_speak_of_the_public_address_alone() -> None:
    """Every address is the configured base URL's."""
    settings = Settings(base_url="https://hie.example")
    for document in (smart_configuration(settings), authorization_server(settings)):
        assert document["token_endpoint"] == "https://hie.example/oauth/token"
        assert "127.0.0.1" not in json.dumps(document)


def test_older_keys_are_published_beside_the_current_one(keys_file: Path, tmp_path: Path) -> None:
    """So that tokens signed before a change still verify; nothing secret is among them."""
    create_key_file(tmp_path / "new.json")
    both = json.loads((tmp_path / "new.json").read_text())["keys"] + json.loads(keys_file.read_text())["keys"]
    (tmp_path / "both.json").write_text(json.dumps({"keys": both}))
    ring = read_key_file(tmp_path / "both.json")
    published = jwks(ring)["keys"]
    assert isinstance(published, list)
    assert len(published) == 2
    assert all(key["kty"] == "RSA" and "d" not in key and "k" not in key for key in published)
    old = read_key_file(keys_file)
    authenticator = an_authenticator(ring, a_client())
    for signer in (old, ring):
        token = [f"Bearer {an_access_token(signer)}"]
        assert authenticator.authenticate(token, datetime.now(UTC)).client_id == "ehr"


def test_a_key_without_a_name_is_given_one(keys_file: Path, tmp_path: Path) -> None:
    """RFC 7517 leaves `kid` optional; tokens and published keys then carry the key's thumbprint."""
    document = json.loads(keys_file.read_text())
    for key in document["keys"]:
        del key["kid"]
    (tmp_path / "nameless.json").write_text(json.dumps(document))
    ring = read_key_file(tmp_path / "nameless.json")
    (published,) = jwks(ring)["keys"]  # type: ignore[misc]
    assert published["kid"]
    token = [f"Bearer {an_access_token(ring)}"]
    assert an_authenticator(ring).authenticate(token, datetime.now(UTC)).client_id == "ehr"
