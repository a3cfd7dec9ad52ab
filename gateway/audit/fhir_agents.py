"""Who took part, as AuditEvent.agent: the caller's application, its user and organisation, and the gateway. Pure.

The mapping from an access token is BALP's (ITI BALP §3:5.7.5.4): `client_id` is the application's identifier, `iss` and
`sub` the user's, `jti` the user's policy.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway import purposes
from gateway.audit import balp
from gateway.audit.balp import Element, shown
from gateway.audit.record import Who


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The gateway, as its own audit names it."""

    base_url: str
    name: str

    @property
    def reference(self) -> Element:
        """The gateway as observer, server, source and authorizer: the same everywhere (BALP `val-audit-source`)."""
        return {"identifier": {"system": balp.URI, "value": self.base_url}, "display": self.name}

    @property
    def source(self) -> Element:
        """AuditEvent.source."""
        return {"site": self.name, "observer": self.reference, "type": [balp.APPLICATION_SERVER]}

    def agent(self, *roles: Element, requestor: bool = False, with_network: bool = True) -> Element:
        """The gateway in the given roles."""
        agent = {"type": balp.concept(*roles), "who": self.reference, "requestor": requestor}
        if with_network:
            agent["network"] = _network(urlsplit(self.base_url).hostname)
        return agent


def client(who: Who, *roles: Element) -> Element:
    """The application that asked, in the given roles. It is the requestor where no user is known."""
    reference: Element = {}
    if who.client_id:
        reference["identifier"] = {"value": shown(who.client_id)}
    if who.client_name:
        reference["display"] = shown(who.client_name)
    return {
        "type": balp.concept(*roles),
        "who": reference or balp.absent(),
        "requestor": not has_user(who),
        "network": _network(who.network),
    }


def has_client(who: Who) -> bool:
    """Whether anything is known of the application or of where the request came from."""
    return any((who.client_id, who.client_name, who.network))


def has_user(who: Who) -> bool:
    """Whether the caller proved who it is, or is an operator."""
    named = (who.subject, who.issuer, who.subject_id, who.subject_name, who.subject_role, who.token_id)
    return bool(who.purposes) or any(named)


def user(who: Who) -> Element:
    """The one on whose behalf was asked: the clinician, or the system itself; with purposes and the token's id."""
    agent: Element = {
        "type": balp.concept(balp.RECIPIENT, *([balp.OAUTH_USER] if who.token_id else [])),
        "who": _user_reference(who),
        "requestor": True,
    }
    if who.subject_id:
        number = {"type": balp.concept(balp.PROVIDER_NUMBER), "value": shown(who.subject_id)}
        agent["extension"] = [{"url": balp.OTHER_ID, "valueIdentifier": number}]
    if who.subject_name:
        agent["name"] = shown(who.subject_name)
    if who.subject_role:
        agent["role"] = [{"text": shown(who.subject_role)}]
    if who.token_id:
        agent["policy"] = [balp.JTI + balp.uri(who.token_id)]
    if who.purposes:
        agent["purposeOfUse"] = purposes_of(who)
    return agent


def _user_reference(who: Who) -> Element:
    identifier: Element = {}
    if who.issuer:
        identifier["system"] = balp.uri(who.issuer)
    if who.subject:
        identifier["value"] = shown(who.subject)
    reference: Element = {"identifier": identifier} if identifier else {}
    if who.subject_name:
        reference["display"] = shown(who.subject_name)
    return reference or balp.absent()


def user_organization(who: Who) -> Element:
    """The organisation the caller belongs to."""
    reference = balp.organization(who.organization) if who.organization else balp.absent()
    return {"type": balp.concept(balp.PROVIDER), "who": reference, "requestor": False}


def caller(who: Who, *roles: Element) -> list[Element]:
    """Application, user and organisation, as far as they are known; the application always."""
    agents = [client(who, *roles)]
    if has_user(who):
        agents.append(user(who))
    if who.organization:
        agents.append(user_organization(who))
    return agents


def facility(name: str, *roles: Element) -> Element:
    """A facility of the exchange in the given roles."""
    return {"type": balp.concept(*roles), "who": balp.organization(name), "requestor": False}


def is_token_use(who: Who) -> bool:
    """Whether the token that was used is told completely (BALP OAUTHaccessTokenUse.Comprehensive)."""
    return all((who.client_id, who.issuer, who.subject, who.token_id))


def purposes_of(who: Who) -> list[Element]:
    """The purposes of use as CodeableConcepts of `v3-ActReason`."""
    return [balp.concept({"system": purposes.SYSTEM, "code": purpose}) for purpose in who.purposes]


def _network(address: str | None) -> Element:
    if not address:
        return balp.absent()
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return {"address": shown(address), "type": "1"}
    return {"address": address, "type": "2"}
