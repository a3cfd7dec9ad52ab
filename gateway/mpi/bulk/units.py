"""Records that are one person's, as a re-linking sees them come together and go apart: in memory, packed."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from gateway.model import PatientID
from gateway.mpi.decide import Member
from gateway.mpi.match_record import MatchRecord, unpack


class Parts:
    """Some records of one person, joined pair by pair."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._part = {member.record_id: [member] for member in members}

    def find(self, number: int) -> int:
        """The part that the record is in, named by its first record."""
        return self._part[number][0].record_id

    def members(self, part: int) -> Sequence[Member]:
        """The records of that part."""
        return self._part[part]

    def join(self, one: int, other: int) -> None:
        """The two parts are one."""
        if (joined := self._part[one]) is not (gone := self._part[other]):
            joined.extend(gone)
            for member in gone:
                self._part[member.record_id] = joined

    def groups(self) -> Iterable[list[Member]]:
        """Each part once."""
        return {id(found): found for found in self._part.values()}.values()


class Units:
    """Which records go together. A unit is named by the place of one of its records."""

    def __init__(self, table: pa.Table) -> None:
        """Each person of the table is a unit."""
        self.size = table.num_rows
        self._numbers: list[int] = table["unique_id"].to_pylist()
        self._packed = table["packed"].combine_chunks()
        coded = table["person"].combine_chunks().dictionary_encode()
        if isinstance(coded, pa.ChunkedArray):  # a table without rows
            coded = coded.combine_chunks()
        self._persons: list[PatientID] = coded.dictionary.to_pylist()
        self._person: list[int] = coded.indices.to_pylist()
        self._place = {number: place for place, number in enumerate(self._numbers)}
        members: defaultdict[int, list[int]] = defaultdict(list)
        for place, person in enumerate(self._person):
            members[person].append(place)
        self._unit = [0] * self.size
        self._members: dict[int, list[int]] = {}
        for places in members.values():
            self._name(places)

    def knows(self, number: int) -> bool:
        """Whether the record is among those looked at."""
        return number in self._place

    def person(self, number: int) -> PatientID:
        """Whose the record is today."""
        return self._persons[self._person[self._place[number]]]

    def record(self, number: int) -> MatchRecord:
        """What the record says."""
        return self._opened(self._place[number])

    def between(self, one: int, other: int) -> tuple[int, int]:
        """The units of two records, the smaller first."""
        a, b = self._unit[self._place[one]], self._unit[self._place[other]]
        return (a, b) if a <= b else (b, a)

    def members(self, unit: int) -> list[Member]:
        """The records of a unit."""
        return [self._member(place) for place in self._members.get(unit, (unit,))]

    def join(self, one: int, other: int) -> None:
        """The two units are one."""
        self._name([*self._members.pop(one, (one,)), *self._members.pop(other, (other,))])

    def part(self, person: PatientID, numbers: Iterable[int], ties: Iterable[tuple[int, int]]) -> Parts:
        """The records `numbers` of `person` one by one, but for those that are tied.

        What else the person has (records that share a strong identifier, say) is no part of it: how those hang
        together isn't matching's to say.
        """
        parts = Parts(self._member(self._place[number]) for number in sorted(numbers))
        for one, other in ties:
            parts.join(parts.find(one), parts.find(other))
        return parts

    def settle(self, parts: Parts) -> None:
        """Each part is a unit of its own; the first keeps what else the person has."""
        _, *others = sorted(parts.groups(), key=lambda group: (-len(group), group[0].record_id))
        for group in others:
            places = [self._place[member.record_id] for member in group]
            unit = self._unit[places[0]]
            left = [place for place in self._members[unit] if place not in places]
            del self._members[unit]
            self._name(places)
            self._name(left)

    def as_they_were(self) -> Iterator[tuple[PatientID, list[Member]]]:
        """Each unit of several records of one person of today."""
        for places in self._members.values():
            by_person: defaultdict[int, list[int]] = defaultdict(list)
            for place in places:
                by_person[self._person[place]].append(place)
            for person, own in by_person.items():
                if len(own) > 1:
                    yield self._persons[person], [self._member(place) for place in sorted(own)]

    def _name(self, places: list[int]) -> None:
        unit = places[0]
        for place in places:
            self._unit[place] = unit
        if len(places) > 1:
            self._members[unit] = places

    def _member(self, place: int) -> Member:
        return Member(self._numbers[place], self._opened(place))

    def _opened(self, place: int) -> MatchRecord:
        return unpack(self._packed[place].as_py())
