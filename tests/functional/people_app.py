"""The whole application in this process, on a database of its own, with a clock that a test sets and people in it."""

import html
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
from flask import Flask
from werkzeug.test import TestResponse

from gateway.app import create_app
from gateway.audit.record import AuditRecord
from gateway.auth import passwords
from gateway.auth.people import Account, Role
from gateway.auth.people_audit import people_record, who_is
from gateway.config import Settings
from gateway.wiring import build_house

PASSWORD = "seven green herons at noon"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
_HASH = passwords.hash_of(PASSWORD)
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Clock:
    """The time, as a test says it is."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        """So much time passes."""
        self.now += timedelta(**by)


class PeopleApp:
    """The application, its people, and what its audit holds."""

    def __init__(self, sqlite_url: str, keys_file: Path, **settings: str) -> None:
        self.settings = Settings.from_env(
            {"GATEWAY_DATABASE_URL": sqlite_url, "GATEWAY_KEYS_FILE": str(keys_file), **settings}
        )
        self.clock = Clock()
        self.house = build_house(self.settings, self.clock)
        self.people = self.house.people
        self.app: Flask = create_app(self.settings, self.house)

    def close(self) -> None:
        """Nothing of it is left open."""
        self.house.close()

    def add(self, login: str, *roles: Role, password: bool = True, totp: bool = False, **changes: Any) -> Account:
        """An account of that login, by the password of all of them, with an authenticator where asked."""
        draft = Account(id="", login=login, name=f"{login.title()} Somebody", roles=frozenset(roles), **changes)
        made = self.people.accounts.add(draft, self.noted, self.clock())
        if password:
            self.people.accounts.set_password(made.id, _HASH, self.noted, self.clock())
        if totp:
            self.people.factors.add_totp(
                made.id, SECRET, name="Phone", used_step=0, record=self.noted(made), now=self.clock()
            )
        return made

    def noted(self, one: Account) -> AuditRecord:
        """What the audit is told of what a test arranges."""
        return people_record("operator", who_is(one), self.clock(), "arranged")

    def code(self, back: int = 0) -> str:
        """The code that an authenticator shows now, or `back` steps ago."""
        return pyotp.HOTP(SECRET).at(int(self.clock().timestamp()) // 30 - back)

    def audit(self, *kinds: str) -> list[AuditRecord]:
        """What the audit holds of those kinds."""
        return [one for one in self.house.rooms.audit.read() if one.kind in kinds]  # type: ignore[attr-defined]

    def browser(self) -> "Browser":
        """A browser that has been nowhere yet."""
        return Browser(self)


class Browser:
    """A browser without scripts: it keeps cookies, and sends forms as the page has them."""

    def __init__(self, app: PeopleApp) -> None:
        self.app = app
        self.client = app.app.test_client()

    def get(self, path: str, **options: Any) -> TestResponse:
        """The page at that path."""
        return self.client.get(path, **options)

    def token(self, page: str) -> str:
        """The form token that a page carries."""
        found = _TOKEN.search(self.get(page).text)
        assert found, f"{page} has no form"
        return html.unescape(found[1])

    def submit(self, page: str, to: str | None = None, **fields: str) -> TestResponse:
        """The form of that page, filled in and sent (to another path, where it says so)."""
        return self.client.post(to or page, data={"csrf_token": self.token(page), **fields})

    def sign_in(self, login: str, password: str = PASSWORD, **fields: str) -> TestResponse:
        """Login and password, sent."""
        return self.submit("/signin", login=login, password=password, **fields)

    def sign_in_with_code(self, login: str, **fields: str) -> TestResponse:
        """All of it, for an account with an authenticator; half a minute passes, so that the code is a new one."""
        self.app.clock.advance(seconds=30)
        assert self.sign_in(login).status_code == 303
        return self.submit("/signin/second", code=self.app.code(), **fields)

    @property
    def cookie(self) -> str | None:
        """The value of the session's cookie."""
        found = self.client.get_cookie("gateway")
        return found.value if found else None

    def put_cookie(self, value: str) -> None:
        """The browser now sends that value."""
        self.client.set_cookie("gateway", value)


@contextmanager
def serving(sqlite_url: str, keys_file: Path, settings: Mapping[str, str] | None = None) -> Iterator[PeopleApp]:
    """The application for as long as a test needs it."""
    app = PeopleApp(sqlite_url, keys_file, **(settings or {}))
    try:
        yield app
    finally:
        app.close()
