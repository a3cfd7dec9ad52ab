"""Reports of training and re-linking: one HTML page each with its charts drawn in it. They name nobody."""

from collections.abc import Iterable, Sequence
from html import escape

from gateway.mpi.algorithm import Algorithm
from gateway.mpi.bulk.relink import Change, RelinkPlan
from gateway.mpi.bulk.train import Training
from gateway.mpi.match import Contribution, Matcher
from gateway.mpi.match_record import MatchRecord

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "svg{width:100%;height:auto}text{font-size:12px;fill:currentColor}.for{fill:#1f6f8b}.against{fill:#b3542c}"
    "table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:left}"
)
_WIDTH, _ROW, _LABEL = 900, 20, 250
_MOST_BITS = 30.0
_MOST_LISTED = 2000
_KINDS = {
    "merge": "two persons become one",
    "split": "matching had linked the two records and would no longer: they part, and a steward is asked",
    "review-merge": "a steward is asked whether two persons are one",
    "review-split": "one person's records contradict each other, and matching has not linked them: look at them",
}
_MAN = MatchRecord(
    given="william",
    given_forms=("william",),
    family="wintergate",
    families=("wintergate",),
    birth_date="19800512",
    sex="male",
    phones=("555010001",),
    number="12",
    street="oak av",
    postcode="10001",
    city="ashdale",
    homes=("12 oak av 10001",),
)
_MOVED = _MAN._replace(given="bill", given_forms=("bill", "william"), homes=("7 elm rd 20002",), street="elm rd")
_TWIN = _MAN._replace(given="anna", given_forms=("anna",), birth_date="20150512", sex="female")
_EXAMPLES = (
    (
        "The same person, moved and with a nickname",
        _MAN,
        _MOVED._replace(number="7", postcode="20002", city="kingsley"),
    ),
    ("Twins: one home, one phone, one birth date", _TWIN, _TWIN._replace(given="clara", given_forms=("clara",))),
)
"""Invented pairs: the report goes to people who may not see patients."""


def to_html(training: Training) -> str:
    """The page: what was trained on what, the weights, how many pairs weigh how much, two examples step by step."""
    algorithm = training.algorithm
    matcher = Matcher(algorithm)
    sections = [
        f"<h1>{escape(algorithm.label)}</h1><p>{escape(algorithm.description)}</p>",
        _untrained(training.untrained),
        "<h2>Weights</h2><p>In bits, against or for one person; a name's weight is that of an average one.</p>",
        _weights(training),
        "<h2>Pairs that were compared, by match weight</h2>",
        _histogram(training.histogram, {"review": algorithm.thresholds.review, "link": algorithm.thresholds.link}),
        "<h2>How two pairs come to their weight</h2>",
        *(_waterfall(title, matcher, one, other) for title, one, other in _EXAMPLES),
    ]
    return _page(f"Matching: {algorithm.label}", sections)


def plan_html(plan: RelinkPlan, algorithm: Algorithm) -> str:
    """The page: how many changes of which kind, the pairs they come from, what stewards' decisions say of it."""
    counts = "".join(_row(kind, plan.count(kind), words) for kind, words in _KINDS.items())  # type: ignore[arg-type]
    listed = "".join(_changed(one) for one in plan.changes[:_MOST_LISTED])
    left = len(plan.changes) - _MOST_LISTED
    beside = "".join(_row(words, count) for words, count in plan.stewards) or _row("nothing decided yet", 0)
    sections = [
        f"<h1>Re-linking by {escape(algorithm.label)}</h1><p>{plan.records} records.</p>",
        f"<h2>Changes</h2><table>{counts}</table>",
        "<h2>Pairs, by match weight</h2>",
        _histogram(plan.histogram, {"review": algorithm.thresholds.review, "link": algorithm.thresholds.link}),
        "<h2>Beside what stewards have decided</h2><p>A pair's decision, and what the algorithm would do with it.</p>",
        f"<table>{beside}</table><h2>The changes, by record</h2><table>{listed}</table>",
        f"<p>And {left} more.</p>" if left > 0 else "",
    ]
    return _page(f"Re-linking: {algorithm.label}", sections)


def _page(title: str, sections: Sequence[str]) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>{''.join(sections)}</html>\n"
    )


def _row(*cells: object) -> str:
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"


def _changed(one: Change) -> str:
    records = f"{one.records[0]} and {one.records[1]}"
    return _row(one.kind, records, f"{one.bits:+.1f} bits", " ".join(one.why), " ".join(one.persons))


def _untrained(levels: Sequence[str]) -> str:
    if not levels:
        return "<p>Every level was seen in the records.</p>"
    return f"<p>Not seen in the records, so their weights are guesses: {escape(', '.join(levels))}.</p>"


def _svg(rows: int, shapes: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {rows * _ROW + 8}" role="img">{"".join(shapes)}</svg>'


def _text(x: float, row: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{row * _ROW + 14:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _bar(row: int, start: float, end: float) -> str:
    # From `start` to `end` bits on an axis whose zero is in the middle of what the labels leave.
    middle, scale = _LABEL + (_WIDTH - _LABEL) / 2, (_WIDTH - _LABEL) / 2 / _MOST_BITS
    edges = [max(-_MOST_BITS, min(_MOST_BITS, bits)) for bits in (start, end)]
    kind = "for" if end >= start else "against"
    x, width = middle + min(edges) * scale, abs(edges[1] - edges[0]) * scale
    return f'<rect class="{kind}" x="{x:.1f}" y="{row * _ROW + 3}" width="{max(width, 1):.1f}" height="{_ROW - 6}"/>'


def _weights(training: Training) -> str:
    shapes, row = [], 0
    for one in training.algorithm.comparisons:
        for level in one.levels[1:]:
            shapes += [_text(0, row, f"{one.field}: {level.name}"), _bar(row, 0, level.bits)]
            shapes.append(_text(_LABEL - 10, row, f"{level.bits:+.1f}", "end"))
            row += 1
    return _svg(row, shapes)


def _histogram(bins: Sequence[tuple[float, int]], thresholds: dict[str, float]) -> str:
    if not bins:
        return "<p>No pair was compared.</p>"
    low, high, most = bins[0][0], bins[-1][0] + 1, max(count for _, count in bins)
    height, scale = 10 * _ROW, _WIDTH / (high - low)
    shapes = [
        f'<rect class="for" x="{(edge - low) * scale:.1f}" y="{height * (1 - count / most):.1f}" '
        f'width="{max(scale - 1, 1):.1f}" height="{height * count / most:.1f}"/>'
        for edge, count in bins
    ]
    for name, bits in thresholds.items():
        x = (min(max(bits, low), high) - low) * scale
        shapes.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" stroke="currentColor"/>')
        shapes.append(_text(x + 4, 0 if name == "link" else 1, f"{name} {bits:g}"))
    return _svg(11, [*shapes, _text(0, 10, f"{low:g} bits"), _text(_WIDTH, 10, f"{high:g} bits", "end")])


def _waterfall(title: str, matcher: Matcher, one: MatchRecord, other: MatchRecord) -> str:
    steps = [step for step in matcher.explain(one, other) if step.level != "missing"]
    guards = matcher.score(one, other).guards
    shapes, reached = [], 0.0
    for row, step in enumerate(steps):
        shapes += [_text(0, row, _said(step)), _bar(row, reached, reached + step.bits)]
        reached += step.bits
    shapes.append(_text(0, len(steps), f"together {reached:+.1f} bits"))
    held = f" Held by: {', '.join(guards)}." if guards else " No guard holds it."
    return f"<h3>{escape(title)}</h3><p>{escape(held)}</p>{_svg(len(steps) + 1, shapes)}"


def _said(step: Contribution) -> str:
    return f"{step.field} {step.level} {step.bits:+.1f}".replace("  ", " ")
