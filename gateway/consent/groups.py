"""The groups that a Consent may name, as operators have registered them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Literal

import orjson
from sqlalchemy import Connection, Engine, bindparam, delete, insert, select, update

from gateway.consent.groups_file import Group, clashes
from gateway.consent.tables import consent_group
from gateway.db.crypto import KeyRing
from gateway.db.session import in_parts, reading, writing
from gateway.errors import LoadRefused, NotFound

Applied = Literal["loaded", "updated", "unchanged"]


class StoredGroups:
    """Reads and changes the groups. Every method raises DependencyUnavailable where the database fails."""

    def __init__(self, engine: Engine, keys: KeyRing) -> None:
        self._engine = engine
        self._keys = keys

    def all(self) -> Sequence[Group]:
        """Every group as it is now, in id order."""
        with reading(self._engine) as connection:
            return self._rows(connection)

    def members(self, references: Collection[str]) -> Mapping[str, frozenset[str]]:
        """The members of each of these (`Group/{id}`) as of now; one that is not registered is left out."""
        ids = sorted(reference.removeprefix("Group/") for reference in references)
        found: dict[str, frozenset[str]] = {}
        with reading(self._engine) as connection:
            for part in in_parts(ids):
                rows = connection.execute(_OF_IDS, {"ids": part}).all()
                found |= {(group := self._open(id_, content)).reference: group.members for id_, content in rows}
        return found

    def apply(self, groups: Sequence[Group]) -> dict[str, Applied]:
        """All of `groups` are registered as they are, or none; what became of each. Others are left as they are.

        Raises LoadRefused where one would have a name of another.
        """
        outcome: dict[str, Applied] = {}
        with writing(self._engine) as connection:
            known = {one.id: one for one in self._rows(connection)}
            stated = {one.id for one in groups}
            if problems := clashes(groups, [one for one in known.values() if one.id not in stated]):
                raise LoadRefused(problems)
            for one in groups:
                outcome[one.id] = self._apply_one(connection, one, known.get(one.id))
        return outcome

    def remove(self, id_: str) -> None:
        """The group is no more: a Consent that names it can't be evaluated then, and denies. Raises NotFound."""
        with writing(self._engine) as connection:
            if not connection.execute(delete(consent_group).where(consent_group.c.id == id_)).rowcount:
                raise NotFound(f"no group has the id {id_}")

    def _apply_one(self, connection: Connection, one: Group, known: Group | None) -> Applied:
        if one == known:
            return "unchanged"
        content = self._keys.seal(consent_group.name, one.id, orjson.dumps(asdict(one)))
        if known is None:
            connection.execute(insert(consent_group).values(id=one.id, content=content))
            return "loaded"
        connection.execute(update(consent_group).where(consent_group.c.id == one.id).values(content=content))
        return "updated"

    def _rows(self, connection: Connection) -> list[Group]:
        rows = connection.execute(select(consent_group.c.id, consent_group.c.content).order_by(consent_group.c.id))
        return [self._open(id_, content) for id_, content in rows]

    def _open(self, id_: str, content: bytes) -> Group:
        values = orjson.loads(self._keys.open(consent_group.name, id_, content))
        return Group(
            id=id_,
            name=values["name"],
            names=tuple(values["names"]),
            organizations=tuple(values["organizations"]),
            users=tuple(values["users"]),
        )


_OF_IDS = select(consent_group.c.id, consent_group.c.content).where(
    consent_group.c.id.in_(bindparam("ids", expanding=True))
)
