"""Refusals and failures of a request. They know nothing of HTTP: a face turns them into words.

GatewayError
  InvalidQuery            the question cannot be understood
    UnsupportedParameter  it is understood, and not supported
    PayloadTooLarge       it is longer than the gateway reads
    UnknownModifier       it holds an extension that may change its meaning, and that nobody here understands
    UnknownDomain         an identifier is of a system that the exchange doesn't know
    TooCostly             so many may be meant that they are not looked at
  NotAcceptable           the answer is wanted in a form the gateway does not write
  UnsupportedMediaType    the question comes in a form the gateway does not read
  MethodNotAllowed        the thing is there, and that is not done to it
  ExpiredCursor           a page link that has run out
  Conflict                it is no longer in a state in which that is done to it
  StaleVersion            somebody else has changed it since it was read
    AlreadyThere          it was to be changed only where it isn't there
  NotAuthenticated        no token, or one that does not hold
    SignInNeeded          nobody has signed in, or the session has ended
      FreshSignInNeeded   they have, and too long ago for this
  AccessRefused           scope, purpose, patient or role does not reach
    SecondFactorNeeded    they have signed in with one factor, and this needs two
    FormRefused           a form that did not come from our own page, or from another session's
    ScopeMissing
    PurposeNotAllowed
  UnknownTarget           an answer is wanted in a system of identifiers that the exchange doesn't know
  NotFound                a named thing that is absent or withheld: the two look the same
    UnknownIdentifier     nobody the caller may know of has that identifier
    DomainNotFound        identifiers are wanted of a system that the exchange doesn't know
  TooManyRequests         more than is let through in this time: later
  DeadlinePassed          our own time is spent
  DependencyUnavailable   our database, keys or cache
    AuditUnavailable      nothing is released without its audit
  AllFacilitiesFailed     every facility asked failed
  LoadRefused             an operator's file or argument is refused
  ConfigurationError      start-up only: every problem at once
"""

from collections.abc import Sequence


class GatewayError(Exception):
    """Base of all refusals. `reason` is safe to show: our words, never a patient's value or somebody else's text."""

    code = "error"

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidQuery(GatewayError):
    code = "invalid"


class UnsupportedParameter(InvalidQuery):
    code = "not-supported"


class PayloadTooLarge(InvalidQuery):
    code = "too-long"


class UnknownModifier(InvalidQuery):
    code = "extension"


class UnknownDomain(InvalidQuery):
    code = "code-invalid"


class TooCostly(InvalidQuery):
    code = "too-costly"


class UnknownTarget(GatewayError):
    code = "unknown-target"


class NotAcceptable(GatewayError):
    code = "not-acceptable"


class UnsupportedMediaType(GatewayError):
    code = "unsupported-media-type"


class MethodNotAllowed(GatewayError):
    """`allowed` names the methods that may be used instead."""

    code = "method-not-allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__("that method is not supported here")
        self.allowed = tuple(allowed)


class ExpiredCursor(GatewayError):
    code = "expired-cursor"


class Conflict(GatewayError):
    code = "conflict"


class StaleVersion(GatewayError):
    code = "stale-version"


class AlreadyThere(StaleVersion):
    code = "already-there"


class NotAuthenticated(GatewayError):
    """`presented` tells whether a token was sent at all (RFC 6750 §3: no error code when none was)."""

    code = "login"

    def __init__(self, reason: str = "", *, presented: bool = True, expired: bool = False) -> None:
        super().__init__(reason)
        self.presented = presented
        self.expired = expired


class SignInNeeded(NotAuthenticated):
    code = "sign-in-needed"

    def __init__(self, reason: str = "sign in first") -> None:
        super().__init__(reason, presented=False)


class FreshSignInNeeded(SignInNeeded):
    code = "fresh-sign-in-needed"


class AccessRefused(GatewayError):
    code = "forbidden"


class SecondFactorNeeded(AccessRefused):
    code = "second-factor-needed"


class FormRefused(AccessRefused):
    code = "form-refused"


class ScopeMissing(AccessRefused):
    code = "insufficient-scope"


class PurposeNotAllowed(AccessRefused):
    code = "purpose-not-allowed"


class BreakGlassRefused(AccessRefused):
    code = "break-glass-refused"


class BreakGlassEnded(AccessRefused):
    code = "break-glass-ended"


class NotFound(GatewayError):
    code = "not-found"


class UnknownIdentifier(NotFound):
    code = "unknown-identifier"


class DomainNotFound(NotFound):
    code = "domain-not-found"


class TooManyRequests(GatewayError):
    """`retry_after_s` says in how many seconds it may be tried again."""

    code = "throttled"

    def __init__(self, retry_after_s: int, reason: str = "too many requests: try again later") -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class DeadlinePassed(GatewayError):
    code = "deadline"


class DependencyUnavailable(GatewayError):
    code = "dependency"


class AuditUnavailable(DependencyUnavailable):
    code = "audit"


class AllFacilitiesFailed(GatewayError):
    """Every facility that was asked failed. `gaps` are (facility id, facility name, reason) of each."""

    code = "all-facilities-failed"

    def __init__(self, gaps: Sequence[tuple[str, str, str]]) -> None:
        super().__init__("no facility that was asked could answer")
        self.gaps = tuple(gaps)


class LoadRefused(GatewayError):
    """An operator's file or argument is refused; `problems` names each thing that is wrong."""

    code = "refused"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class ConfigurationError(GatewayError):
    """The settings do not hold; `problems` lists all of them."""

    code = "configuration"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
