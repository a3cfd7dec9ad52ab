"""The pages that are served to people, each behind its guard."""

from collections.abc import Callable

from flask import Blueprint, Flask

from gateway.auth.guards import (
    Guard,
    open_to_anyone,
    optional_person,
    requires_person,
    requires_proof,
    requires_step,
)
from gateway.auth.passkeys import Passkeys
from gateway.config import Settings
from gateway.pages.forms import set_up_forms
from gateway.pages.shell import assets_blueprint
from gateway.signin.doors import again_blueprint, sign_in_blueprint, sign_out_blueprint, step_blueprint
from gateway.signin.face import FRESH, SignInFace
from gateway.signin.passkey_routes import (
    passkey_register_blueprint,
    passkey_sign_in_blueprint,
    passkey_step_blueprint,
)
from gateway.signin.provider_pages import ProviderFace, provider_blueprint
from gateway.signin.security_pages import change_blueprint, security_blueprint
from gateway.signin.set_password import set_password_blueprint
from gateway.wiring import House

Serve = Callable[[Flask, Blueprint, Guard], None]


def serve_pages(app: Flask, settings: Settings, house: House, serve: Serve) -> None:
    """Whoever has an account signs in, out, and sees to how they do."""
    set_up_forms(app, settings.base_url, house.keys)
    people = house.people
    face = SignInFace(
        rooms=house.rooms,
        door=people.door,
        signins=people.signins,
        accounts=people.accounts,
        factors=people.factors,
        challenges=people.challenges,
        signing_in=people.signing_in,
        base_url=settings.base_url,
        provider_name=settings.provider.name if settings.provider else None,
    )
    signed_in = requires_person(people.door)
    with_proof = requires_proof(people.door, FRESH, people.factors.has_any)
    serve(app, assets_blueprint(), open_to_anyone("the style sheet of the pages"))
    serve(app, sign_in_blueprint(face), optional_person(people.door, "where people sign in"))
    serve(app, step_blueprint(face), requires_step(people.door))
    serve(app, again_blueprint(face), signed_in)
    serve(app, sign_out_blueprint(face), open_to_anyone("whoever has no session has nothing to end"))
    serve(app, set_password_blueprint(face), open_to_anyone("the link is the proof"))
    passkeys = Passkeys(people.challenges, people.factors, settings.base_url)
    serve(app, passkey_sign_in_blueprint(face, passkeys), optional_person(people.door, "the passkey is the proof"))
    serve(app, passkey_step_blueprint(face, passkeys), requires_step(people.door))
    serve(app, passkey_register_blueprint(face, passkeys), with_proof)
    if people.provider is not None:
        away = ProviderFace(face=face, provider=people.provider, accounts=people.vouched)
        serve(app, provider_blueprint(away), optional_person(people.door, "the provider's answer is the proof"))
    serve(app, security_blueprint(face), signed_in)
    serve(app, change_blueprint(face), with_proof)
