"""The exchange's viewer: the page that leads to it, where it brings its codes, and what it may read from its origin."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Flask

from gateway.auth import standing
from gateway.auth.clients import Client
from gateway.auth.guards import Guard, open_to_anyone, requires_person
from gateway.config import Settings
from gateway.errors import NotFound
from gateway.retrieval.view import TOKEN_PATH, view_blueprint, view_token_blueprint
from gateway.retrieval.view_codes import ViewCodes
from gateway.retrieval.viewing import Viewing
from gateway.web_origin import origin_of
from gateway.wiring import House

FOR_VIEWERS = (TOKEN_PATH,)
Serve = Callable[[Flask, Blueprint, Guard], None]


@dataclass(frozen=True, slots=True)
class ViewerOrigin:
    """The origin of the viewer as it is registered now."""

    viewing: Viewing

    def __contains__(self, origin: object) -> bool:
        """Whether it is this. Raises DependencyUnavailable."""
        try:
            return origin == origin_of(self.viewing.viewer.launch_url or "")
        except NotFound:
            return False


def serve_viewing(app: Flask, settings: Settings, house: House, serve: Serve) -> ViewerOrigin:
    """The viewer's routes; without `GATEWAY_VIEWER_CLIENT` nothing is found there."""
    people = house.people

    def find_viewer() -> Client | None:
        return house.oauth.registry.find(settings.viewer_client) if settings.viewer_client else None

    viewing = Viewing(
        house.rooms,
        find_viewer,
        standing.People(
            accounts=standing.AccountsToday(people.accounts, house.rooms.mpi.resolve), delegations=people.delegations
        ),
        people.signins,
        ViewCodes(people.challenges, house.oauth.grants, people.accounts),
        house.oauth.signing,
        house.oauth.bearer,
        house.retrieval.exchange,
        issuer=settings.base_url,
        patience=settings.deadline,
    )
    serve(app, view_blueprint(viewing, house.rooms, settings.base_url), requires_person(people.door))
    serve(
        app,
        view_token_blueprint(viewing, house.rooms.limits),
        open_to_anyone("the code that the viewer was started with is the proof"),
    )
    return ViewerOrigin(viewing)
