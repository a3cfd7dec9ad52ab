"""Passkeys (WebAuthn Level 2): what is asked of a browser, and whether what comes back proves who it is.

Each question is answered once, by the origin of the gateway alone, by somebody whom their device has verified: a
passkey is two factors in one. Signature counts that don't rise are a copy, and are refused (WebAuthn §6.1.1).
"""

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from gateway.auth.challenges import StoredChallenges
from gateway.auth.people import Account
from gateway.auth.second_factors import Passkey, StoredFactors
from gateway.errors import InvalidQuery

Use = Literal["register", "sign-in", "second"]
ASKED_FOR = timedelta(minutes=5)
_NAME = "Imaging exchange"
_MOST_CHARACTERS = 20_000
_NOT_TRUE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError)
"""What broken CBOR, keys and numbers raise in the library beside its own exceptions."""


class PasskeyRefused(InvalidQuery):
    """What the browser sent proves nothing: another origin, an old question, nobody verified, an unknown passkey."""

    code = "passkey-refused"


@dataclass(frozen=True, slots=True)
class Passkeys:
    """Asks for passkeys and checks them. Every method raises DependencyUnavailable where a store fails."""

    challenges: StoredChallenges
    factors: StoredFactors
    origin: str

    @property
    def rp_id(self) -> str:
        """The host of the gateway: what passkeys belong to."""
        return urlsplit(self.origin).hostname or ""

    def ask_to_register(self, account: Account, session: str, now: datetime) -> dict[str, Any]:
        """What a browser is asked in order to make a passkey for the account."""
        # The library takes a fifth of a second to load: only a worker that meets a passkey does.
        import webauthn
        from webauthn.helpers.structs import (
            AuthenticatorSelectionCriteria,
            PublicKeyCredentialDescriptor,
            ResidentKeyRequirement,
            UserVerificationRequirement,
        )

        challenge = self._new_challenge("register", session, now)
        options = webauthn.generate_registration_options(
            rp_id=self.rp_id,
            rp_name=_NAME,
            user_id=account.id.encode(),
            user_name=account.login,
            user_display_name=account.name,
            challenge=challenge,
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=one.credential_id) for one in self.factors.passkeys_of(account.id)
            ],
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
        )
        return _as_json(webauthn.options_to_json(options))

    def registered(self, account: Account, session: str, credential: Mapping[str, Any], now: datetime) -> Passkey:
        """The passkey that the browser has made. Raises PasskeyRefused."""
        import webauthn
        from webauthn.helpers.exceptions import WebAuthnException

        challenge = self._taken("register", session, credential, now)
        try:
            verified = webauthn.verify_registration_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self.rp_id,
                expected_origin=self.origin,
                require_user_verification=True,
            )
            transports = credential["response"].get("transports") or ()
        except (WebAuthnException, *_NOT_TRUE) as exc:
            raise PasskeyRefused("the passkey could not be made") from exc
        return Passkey(
            id="",
            account_id=account.id,
            credential_id=verified.credential_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            transports=_known(transports),
        )

    def ask_to_sign_in(
        self, use: Use, now: datetime, *, step: str = "", account: Account | None = None
    ) -> dict[str, Any]:
        """What a browser is asked for a passkey: one of the account's, or whichever it has."""
        import webauthn
        from webauthn.helpers.structs import (
            AuthenticatorTransport,
            PublicKeyCredentialDescriptor,
            UserVerificationRequirement,
        )

        challenge = self._new_challenge(use, step, now)
        held: Sequence[Passkey] = () if account is None else self.factors.passkeys_of(account.id)
        options = webauthn.generate_authentication_options(
            rp_id=self.rp_id,
            challenge=challenge,
            allow_credentials=[
                PublicKeyCredentialDescriptor(
                    id=one.credential_id, transports=[AuthenticatorTransport(word) for word in one.transports]
                )
                for one in held
            ],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return _as_json(webauthn.options_to_json(options))

    def proved(self, use: Use, credential: Mapping[str, Any], now: datetime, *, step: str = "") -> Passkey:
        """The passkey by which whoever sits before the browser has proved who they are. Raises PasskeyRefused."""
        import webauthn
        from webauthn.helpers.exceptions import WebAuthnException

        challenge = self._taken(use, step, credential, now)
        try:
            found = self.factors.find_passkey(_bytes(credential["rawId"]))
            if found is None:
                raise PasskeyRefused("the passkey is not known here")
            verified = webauthn.verify_authentication_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self.rp_id,
                expected_origin=self.origin,
                credential_public_key=found.public_key,
                credential_current_sign_count=found.sign_count,
                require_user_verification=True,
            )
        except (WebAuthnException, *_NOT_TRUE) as exc:
            raise PasskeyRefused("the passkey proves nothing") from exc
        if not self.factors.use_passkey(found, verified.new_sign_count, now):
            raise PasskeyRefused("the passkey was used elsewhere meanwhile")
        return found

    def _new_challenge(self, use: Use, bound_to: str, now: datetime) -> bytes:
        challenge = secrets.token_bytes(32)
        self.challenges.ask("passkey", use, bound_to, challenge.hex(), now=now, until=now + ASKED_FOR)
        return challenge

    def _taken(self, use: Use, bound_to: str, credential: Mapping[str, Any], now: datetime) -> bytes:
        """The challenge that is answered, which is open no longer, whatever the answer is worth."""
        try:
            challenge = _bytes(json.loads(_bytes(credential["response"]["clientDataJSON"]))["challenge"])
        except _NOT_TRUE as exc:
            raise PasskeyRefused("that is no answer of a passkey") from exc
        if self.challenges.take("passkey", use, bound_to, challenge.hex(), now=now) is None:
            raise PasskeyRefused("this was not asked, was answered before, or is too late")
        return challenge


def _as_json(text: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(text)
    return told


def _bytes(text: str) -> bytes:
    if not isinstance(text, str) or len(text) > _MOST_CHARACTERS:
        raise ValueError
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _known(transports: object) -> tuple[str, ...]:
    words = transports if isinstance(transports, list) else []
    return tuple(word for word in ("usb", "nfc", "ble", "internal", "hybrid") if word in words)
