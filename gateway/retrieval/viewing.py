"""A person opens one study in the exchange's viewer: who they are, as whom they look, and for how long.

The viewer is a registered app: its organisation, purposes and scopes bound what it shows, and disabling it closes it.
It is never given more than a token for one study at one facility, for minutes, got as any client gets one: by token
exchange, with consent decided at that moment. For the first it brings a code, for each further one the code that came
with the one before; each is good once, and one that comes twice ends them all. Nothing of it outlives the person's
session, nor `VIEW_LASTS`.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

from gateway.auth.app_scopes import in_context
from gateway.auth.call import Call
from gateway.auth.capacities import Choice, choices
from gateway.auth.clients import Client
from gateway.auth.facility_tokens import FacilityToken
from gateway.auth.people import Account, SignIn
from gateway.auth.signing_keys import SigningKeys
from gateway.auth.standing import People
from gateway.auth.tokens import AccessToken, Granted, issue_access_token
from gateway.deadline import Deadline
from gateway.disclosure import Request
from gateway.errors import AccessRefused, DependencyUnavailable, GatewayError, NotFound
from gateway.imaging.study import Study
from gateway.model import Facility, FacilityID, PatientID, PatientRef, Requester, SourceRecord
from gateway.retrieval.exchange import TokenExchange, Wanted
from gateway.retrieval.view_codes import View, ViewCodes
from gateway.rooms import Rooms
from gateway.search import read_imaging_study

VIEW_LASTS = timedelta(minutes=30)
"""How long one study stays open, however often its token is renewed."""


class Sessions(Protocol):
    """Sessions by their ids, as stored."""

    def stands(self, id_: str, now: datetime) -> bool:
        """Whether the session has neither ended nor run out. Raises DependencyUnavailable."""
        ...


class ReadsTokens(Protocol):
    """What checks access tokens."""

    def read(self, token: str, audiences: Sequence[str], now: datetime) -> tuple[Requester, Mapping[str, Any]]:
        """Who it names. Raises GatewayError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One study as the person may see it, and the facilities that it can be opened from."""

    study: Study
    patient: str
    """Whose it is, in words, as the records say that this person may know of; empty where none says."""
    openable: tuple[Facility, ...]
    others: tuple[Facility, ...]
    """Those that have their own way in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What the viewer gets for a code, once."""

    token: FacilityToken
    address: str
    """Where the study is fetched: the facility's gate, or its archive."""
    study: str
    code: str | None = field(repr=False)
    """For the next token; None where the view then ends."""


def words_of(records: Sequence[SourceRecord]) -> str:
    """The name and birth date of a person, of the first record that has a name."""
    for record in records:
        said = record.demographics
        name = " ".join((*said.given, *said.family[:1]))
        if name:
            return f"{name}, born {said.birth_date}" if said.birth_date else name
    return ""


class Viewing:
    """Opens studies. One object serves all threads."""

    def __init__(
        self,
        rooms: Rooms,
        find_viewer: Callable[[], Client | None],
        people: People,
        sessions: Sessions,
        codes: ViewCodes,
        signing: SigningKeys,
        bearer: ReadsTokens,
        exchange: TokenExchange,
        *,
        issuer: str,
        patience: timedelta,
    ) -> None:
        """`patience` is how long the facilities are waited for."""
        self._rooms = rooms
        self._find_viewer = find_viewer
        self._people = people
        self._sessions = sessions
        self._codes = codes
        self._signing = signing
        self._bearer = bearer
        self._exchange = exchange
        self._issuer = issuer
        self._patience = patience

    @property
    def viewer(self) -> Client:
        """The registered viewer, which can be started. Raises NotFound where there is none, or it is disabled."""
        client = self._find_viewer()
        if client is None or not client.enabled or not client.is_app or client.launch_url is None:
            raise NotFound
        return client

    def look(self, sign_in: SignIn, study_id: str, request: Request) -> Shown:
        """The study, decided and audited as any read is.

        Raises NotFound where it is absent or withheld, AccessRefused where the account can't look at images at all,
        and DependencyUnavailable.
        """
        now = self._rooms.clock()
        viewer = self.viewer
        choice = self._capacity(viewer, sign_in.account, study_id, now)
        token = self._token(viewer, sign_in.account, choice, now, str(uuid.uuid4()))
        requester, _ = self._bearer.read(token.value, (self._issuer,), now)
        study, answer = read_imaging_study(study_id, requester, self._rooms, Deadline.after(self._patience), request)
        sources = [answer.facilities[id_] for id_ in study.facilities]
        openable = tuple(one for one in sources if one.retrieve != "own")
        others = tuple(one for one in sources if one.retrieve == "own")
        return Shown(study=study, patient=words_of(answer.permitted_records), openable=openable, others=others)

    def begin(self, sign_in: SignIn, study_id: str, facility_id: str, request: Request) -> str:
        """The address that the person's browser goes to: the viewer, which then opens the study of that facility.

        Raises as `look` does.
        """
        shown = self.look(sign_in, study_id, request)
        facility = next((one for one in shown.openable if one.id == facility_id), None)
        if facility is None:
            raise NotFound
        now, viewer = self._rooms.clock(), self.viewer
        choice = self._capacity(viewer, sign_in.account, study_id, now)
        sighting = self._rooms.sightings.find(study_id)
        view = View(
            id=str(uuid.uuid4()),
            account_id=sign_in.account.id,
            session=sign_in.id,
            capacity=choice.key,
            person=None if sighting is None else sighting.person,
            facility=facility.id,
            study=shown.study.uid,
            until=min(now + VIEW_LASTS, choice.ends or now + VIEW_LASTS).timestamp(),
        )
        code = self._codes.start(view, now)
        # Behind the `#`: no server is sent it, so none logs it.
        return f"{viewer.launch_url}#{urlencode({'study': shown.study.uid, 'code': code})}"

    def redeem(self, code: str, call: Call) -> Opened:
        """The token for a code, and the code for the next.

        Raises AccessRefused, alike whatever is wrong with the code; what the exchange raises where nothing is open any
        more; DependencyUnavailable, and the code can then be tried again.
        """
        now = self._rooms.clock()
        held = self._codes.find(code, call, now)
        view = held.view
        account = self._people.accounts.find(view.account_id)
        if account is None or not account.enabled or now.timestamp() >= view.until:
            raise AccessRefused("the code does not hold")
        if not self._sessions.stands(view.session, now):
            raise AccessRefused("the session has ended")
        viewer = self.viewer
        choice = next((one for one in self._choices(viewer, account, now) if one.key == view.capacity), None)
        facility = self._facility(view.facility)
        if choice is None or facility is None:
            raise AccessRefused("the code does not hold")
        self._codes.spend(held, call, now)
        try:
            token = self._exchanged(
                viewer, self._token(viewer, account, choice, now, view.id), facility, view, call, now
            )
        except DependencyUnavailable:
            self._codes.put_back(held, now)
            raise
        except GatewayError:
            self._codes.end(view, now)  # it brings no other: whoever tries it again has copied nothing
            raise
        return Opened(
            token=token,
            address=facility.gate_url or facility.link_url,
            study=view.study,
            code=self._codes.following(view, now),
        )

    def _choices(self, viewer: Client, account: Account, now: datetime) -> list[Choice]:
        today = self._people.accounts.find(account.id)
        if today is None:
            return []
        return choices(today, self._people.delegations.standing(account.id, now), viewer, viewer.scopes)

    def _capacity(self, viewer: Client, account: Account, study_id: str, now: datetime) -> Choice:
        """As whom the account looks at that study: as its patient, as who acts for them, as who treats them.

        Where it is nobody's of these, the first: it is then not found, and that is on record. Raises AccessRefused.
        """
        found = self._choices(viewer, account, now)
        if not found:
            raise AccessRefused("the account looks at no images")
        sighting = self._rooms.sightings.find(study_id)
        person = None if sighting is None else self._now_known_as(sighting.person)
        fitting = (one for one in found if one.patient is None or self._now_known_as(one.patient) == person)
        return next(fitting, found[0])

    def _now_known_as(self, patient: PatientID) -> PatientID | None:
        identity = self._rooms.mpi.resolve(PatientRef(id=patient))
        return None if identity is None else identity.id

    def _token(self, viewer: Client, account: Account, choice: Choice, now: datetime, grant: str) -> AccessToken:
        """An access token as the viewer would have it by asking the person: used here, and handed to nobody."""
        sub = f"Patient/{choice.patient}" if choice.capacity == "patient" else account.id
        granted = Granted(sub=sub, account=account.id, grant=grant, delegation=choice.delegation)
        return issue_access_token(
            self._signing,
            issuer=self._issuer,
            client=viewer,
            scopes=in_context(choice.scopes, "user" if choice.capacity == "clinician" else "patient"),
            purposes=choice.purposes,
            now=now,
            subject=choice.person,
            patient=choice.patient,
            granted=granted,
        )

    def _exchanged(
        self, viewer: Client, token: AccessToken, facility: Facility, view: View, call: Call, now: datetime
    ) -> FacilityToken:
        wanted = Wanted(subject_token=token.value, target=facility.id, study=view.study)
        return self._exchange.exchange(replace(viewer, token_exchange=True), wanted, call, now).token

    def _facility(self, id_: str) -> Facility | None:
        found = (one for one in self._rooms.facilities.all() if one.id == FacilityID(id_) and one.retrieve != "own")
        return next(found, None)
