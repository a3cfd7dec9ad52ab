"""Somebody who signs in at a serving gateway, in a browser without scripts."""

import html
import re

import requests

from tests.services.gateway import Gateway

PASSWORD = "seven green herons at noon"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def add_user(gateway: Gateway, login: str, role: str, *options: str) -> None:
    """The account, with the password of all of them."""
    argv = ["users", "add", login, "--name", f"{login.title()} Somebody", "--role", role, *options, "--password-stdin"]
    gateway.run(*argv, stdin=f"{PASSWORD}\n")


class PersonsBrowser:
    """Keeps cookies, and sends forms as the page has them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._session = requests.Session()

    def close(self) -> None:
        """Its connections are closed."""
        self._session.close()

    def get(self, path: str) -> requests.Response:
        """The page, or where it leads to."""
        return self._session.get(self._gateway.url + path, allow_redirects=False, timeout=30)

    def submit(self, page: str, to: str, **fields: str) -> requests.Response:
        """The form of `page`, filled in and sent to `to`."""
        found = _TOKEN.search(self.get(page).text)
        assert found, f"{page} has no form"
        data = {"csrf_token": html.unescape(found[1]), **fields}
        return self.post(to, **data)

    def post(self, to: str, **fields: str) -> requests.Response:
        """These fields, sent to `to` as they are."""
        return self._session.post(self._gateway.url + to, data=fields, allow_redirects=False, timeout=30)

    def sign_in(self, login: str, **fields: str) -> requests.Response:
        """Login and password, sent."""
        return self.submit("/signin", "/signin", login=login, password=PASSWORD, **fields)

    def sign_out(self) -> None:
        """The session has ended."""
        assert self.submit("/signin/security", "/signout").status_code == 303
