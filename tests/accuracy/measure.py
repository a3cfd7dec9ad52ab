"""How right a linking is: pairs of records, false links counted apart, and what is left for stewards."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from tests.accuracy.memory_linker import MemoryLinker, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Pairwise over all true pairs: those that no key brings together count as missed."""

    precision: float
    recall: float
    f1: float
    false_pairs: int
    missed_pairs: int
    records: int
    tasks: int
    true_tasks: int

    @property
    def tasks_per_thousand(self) -> float:
        """The review rate."""
        return 1000 * self.tasks / self.records


def _pairs(counts: Iterable[int]) -> int:
    return sum(count * (count - 1) // 2 for count in counts)


def measure(persons: Mapping[int, Hashable], truth: Mapping[int, int], tasks: Iterable[Task] = ()) -> Quality:
    """The quality of `persons` (record → whom it was linked to) against `truth` (record → whose it is)."""
    together = Counter((persons[record], truth[record]) for record in truth)
    correct = _pairs(together.values())
    made = _pairs(Counter(persons[record] for record in truth).values())
    true = _pairs(Counter(truth.values()).values())
    precision, recall = correct / max(made, 1), correct / max(true, 1)
    asked = list(tasks)
    return Quality(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / max(precision + recall, 1e-12),
        false_pairs=made - correct,
        missed_pairs=true - correct,
        records=len(truth),
        tasks=len(asked),
        true_tasks=sum(truth[task.record] == truth[task.other] for task in asked),
    )


def after_review(linker: MemoryLinker, truth: Mapping[int, int]) -> Quality:
    """The quality once a steward who errs never has answered every task."""
    parent: dict[Hashable, Hashable] = {person: person for person in linker.members}

    def root(person: Hashable) -> Hashable:
        while parent[person] != person:
            person = parent[person]
        return person

    for task in linker.tasks.values():
        if truth[task.record] == truth[task.other]:
            parent[root(linker.person_of[task.record])] = root(linker.person_of[task.other])
    return measure({record: root(person) for record, person in linker.person_of.items()}, truth)


def false_links(linker: MemoryLinker, truth: Mapping[int, int]) -> list[tuple[int, int]]:
    """One example of two records of each person that isn't one."""
    found = []
    for members in linker.members.values():
        by_truth: defaultdict[int, list[int]] = defaultdict(list)
        for member in members:
            by_truth[truth[member.record_id]].append(member.record_id)
        if len(by_truth) > 1:
            one, other, *_ = by_truth.values()
            found.append((one[0], other[0]))
    return found
