"""The cookie that a session stands behind: `__Host-` over https, so that no other host or path can set it."""

from dataclasses import dataclass

from flask import Response, request


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """How the cookie is called, and whether it goes over https alone."""

    name: str
    secure: bool

    def read(self) -> str:
        """Its value in the request; empty where there is none."""
        return request.cookies.get(self.name, "")

    def put(self, response: Response, value: str) -> None:
        """The browser keeps `value` until it is closed."""
        response.set_cookie(self.name, value, path="/", secure=self.secure, httponly=True, samesite="Lax")

    def remove(self, response: Response) -> None:
        """The browser keeps none."""
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="Lax")


def cookie_for(base_url: str, name: str = "gateway") -> SessionCookie:
    """Over https `__Host-{name}`; over plain http, which only development has, a browser would refuse that prefix."""
    secure = base_url.lower().startswith("https:")
    return SessionCookie(f"__Host-{name}" if secure else name, secure)
