"""What `clients add` wants of an app, and of a system: the options that belong to one of the two alone."""

from gateway.auth.app_redirects import problem_of_address, problems_of_redirect_uris
from gateway.auth.app_scopes import in_context
from gateway.auth.clients import Client


def problems_of_kind(client: Client, *, app: bool, public: bool) -> list[str]:
    """What is wrong with the options for this kind of client, all of it."""
    return _problems_of_app(client, public=public) if app else _problems_of_system(client, public=public)


def _problems_of_app(client: Client, *, public: bool) -> list[str]:
    problems = [f"--redirect-uri: {text}" for text in problems_of_redirect_uris(client.redirect_uris)]
    if public != client.public:
        problems.append(
            "--public: it has --jwks; an app is one or the other" if public else "--app: --jwks or --public"
        )
    if client.launch_url is not None and (problem := problem_of_address(client.launch_url)):
        problems.append(f"--launch-url: {problem}")
    if client.facility is not None:
        problems.append("--facility: an app is no identity feed")
    if in_context(client.scopes, "user") and not client.purposes:
        problems.append("--purpose: clinicians use it for one, such as TREAT")
    return problems


def _problems_of_system(client: Client, *, public: bool) -> list[str]:
    problems = []
    if client.jwks is None and client.jwks_uri is None:
        problems.append("--jwks: a system proves itself by a key")
    if public or client.redirect_uris or client.launch_url:
        problems.append("--public, --redirect-uri and --launch-url are an app's: give --app")
    return problems
