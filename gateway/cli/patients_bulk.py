"""`python -m gateway patients train` and `relink`: matching in bulk, on Splink where it is installed."""

import os
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.audit.record import Who
from gateway.cli.context import Operator, print_json
from gateway.errors import LoadRefused
from gateway.mpi.algorithm import AlgorithmRefused, parse_algorithm, to_json
from gateway.mpi.feed import PatientFeed, RelinkedAll
from gateway.mpi.matching import MatchingRule
from gateway.mpi.matching_setting import matching_rule, rule_of

if TYPE_CHECKING:
    from gateway.mpi.bulk.relink import Change, RelinkPlan
    from gateway.mpi.bulk.stored import StoredRecords
    from gateway.mpi.match import Matcher

_SAMPLE = 100_000
_SHOWN = 20
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,15}/[a-z0-9.-]{1,15}")
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("algorithm", type=_FILE)
@click.option("--label", required=True, help="name/version, in small letters and digits: it stands beside every link.")
@click.option("--sample", type=click.IntRange(500, 1_000_000), default=_SAMPLE, show_default=True, help="Records.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another one takes another sample.")
@click.option("--report", type=_FILE, help="The quality report: weights, thresholds, waterfalls (HTML).")
@_AS_JSON
def train(algorithm: Path, label: str, sample: int, seed: int, report: Path | None, as_json: bool) -> None:
    """Train a matching algorithm on a sample of the index; ALGORITHM is the file that is written.

    Nothing changes by it: try it with `patients relink --algorithm FILE --dry-run`, then name it in
    GATEWAY_MATCHING_ALGORITHM_FILE.
    """
    if not _LABEL.fullmatch(label):
        raise LoadRefused(["--label: expected name/version, such as north/2"])
    _require_splink()
    from gateway.mpi.bulk.report import to_html
    from gateway.mpi.bulk.train import TrainingFailed
    from gateway.mpi.bulk.train import train as train_on

    with Operator() as operator:
        operator.note("patients train begins", details=[("algorithm", label)])
        records = _stored(operator).sample(sample, seed)
        try:
            training = train_on(records, label, threads=_cores(), progress=_say)
        except TrainingFailed as exc:
            raise LoadRefused([str(exc)]) from exc
        _write(algorithm, to_json(training.algorithm))
        if report is not None:
            _write(report, to_html(training).encode())
        operator.note("patients train ended", details=[("algorithm", label), ("records", str(training.records))])
    if as_json:
        print_json({"algorithm": label, "records": training.records, "untrained": training.untrained})
    else:
        guessed = f"; guesses remain for {', '.join(training.untrained)}" if training.untrained else ""
        click.echo(f"{label}: trained on {training.records} records{guessed}")


@click.command()
@click.option("--dry-run", is_flag=True, help="Change nothing, say what would change.")
@click.option("--algorithm", "file", type=_FILE, help="A file of `patients train`; without it, the settings' one.")
@click.option("--report", type=_FILE, help="All changes, with charts (HTML), written before any is made.")
@_AS_JSON
def relink(dry_run: bool, file: Path | None, report: Path | None, as_json: bool) -> None:
    """Decide every link again, by the settings and the matching algorithm of today, and say what changed.

    What a steward has decided holds. It goes on while others ask and feed; stopped, it is simply run again.
    """
    with Operator() as operator:
        rule = _rule(operator, file)
        if rule is not None:
            _require_splink()
        note = [("algorithm", rule.algorithm.label if rule else "none"), ("dry run", "yes" if dry_run else "no")]
        operator.note("patients relink begins", details=note)
        try:
            changed = _feed(operator).relink(operator.now, dry_run=dry_run)
            counts: dict[str, Any] = _counts(changed)
            if rule is not None:
                counts |= _match_again(operator, rule, report, dry_run=dry_run)
        except BaseException:
            operator.note("patients relink stopped", outcome="failed", details=note)
            raise
        told = [(name, str(count)) for name, count in counts.items() if name != "changes"]
        operator.note("patients relink ended", details=[*note, *told])
    if as_json:
        print_json(counts)
    else:
        _tell(counts, dry_run)


def _match_again(operator: Operator, rule: MatchingRule, report: Path | None, *, dry_run: bool) -> dict[str, Any]:
    from gateway.mpi.bulk.index import index_unmatched
    from gateway.mpi.bulk.relink import plan_relink
    from gateway.mpi.bulk.report import plan_html

    if not dry_run:
        strong = operator.settings.strong_identifier_systems
        for done in index_unmatched(operator.engine, operator.keys, strong, operator.now.date()):
            _say(f"made comparable: {done}")
    planned = operator.now
    stored = _stored(operator)
    matcher = rule.matcher(stored.last())
    plan = plan_relink(stored, matcher, threads=_cores(), progress=_say)
    if report is not None:
        _write(report, plan_html(plan, rule.algorithm).encode())
    counts: dict[str, Any] = {"algorithm": plan.algorithm, "records": plan.records}
    if dry_run:
        kinds = ("merge", "split", "review-merge", "review-split")
        counts |= {kind: plan.count(kind) for kind in kinds}  # type: ignore[arg-type]
        return {**counts, "changes": [_change_json(one) for one in plan.changes]}
    return {**counts, **_apply(operator, matcher, plan, planned)}


def _apply(operator: Operator, matcher: "Matcher", plan: "RelinkPlan", planned: datetime) -> dict[str, int]:
    from gateway.mpi.bulk.apply import Applied, PlanDoer

    _say(f"{plan.count('merge')} persons to merge, {plan.count('split')} to split, {plan.count('review-merge')} to ask")
    done = Applied()
    doer = PlanDoer(
        operator.engine,
        operator.keys,
        operator.audit,
        _feed(operator),
        matcher=matcher,
        strong_systems=operator.settings.strong_identifier_systems,
        who=Who(subject_id=operator.name, subject_role="operator"),
    )
    for done in doer.apply(plan, planned, lambda: operator.now):
        _say(f"merged {done.merged}, split {done.split}, asked {done.asked}")
    return {
        "merged": done.merged,
        "split": done.split,
        "asked": done.asked,
        "passed_over": done.passed_over,
        "review-split": plan.count("review-split"),
    }


def _rule(operator: Operator, file: Path | None) -> MatchingRule | None:
    if file is None:
        return matching_rule(operator.settings)
    try:
        return rule_of(operator.settings, parse_algorithm(file.read_bytes()))
    except AlgorithmRefused as exc:
        raise LoadRefused([f"{file}: {exc}"]) from exc
    except OSError as exc:
        raise LoadRefused([f"{file} can't be read"]) from exc


def _require_splink() -> None:
    try:
        import splink  # noqa: F401
    except ImportError as exc:
        raise LoadRefused(
            ["this needs Splink, an extra: python -m pip install --require-hashes -r requirements-train.txt"]
        ) from exc


def _stored(operator: Operator) -> "StoredRecords":
    from gateway.mpi.bulk.stored import StoredRecords

    return StoredRecords(
        operator.engine,
        operator.keys,
        strong_systems=operator.settings.strong_identifier_systems,
        today=operator.now.date(),
        keys_file=operator.settings.keys_file,
        processes=_cores(),
        progress=lambda done, of: _say(f"read: {done} of {of}"),
    )


def _feed(operator: Operator) -> PatientFeed:
    # Strong identifiers and stewards alone: what matching says comes after, all at once.
    return PatientFeed(
        operator.engine,
        operator.keys,
        operator.audit,
        strong_systems=operator.settings.strong_identifier_systems,
        who=f"operator {operator.name}",
    )


def _cores() -> int:
    return max(len(os.sched_getaffinity(0)), 1)


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as exc:
        raise LoadRefused([f"{file} can't be written"]) from exc


def _say(step: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{step}", nl=False, err=True)


def _counts(changed: RelinkedAll) -> dict[str, Any]:
    return {
        "persons": changed.persons,
        "moved": changed.moved,
        "retired": changed.retired,
        "conflicts": changed.conflicts,
    }


def _change_json(one: "Change") -> dict[str, Any]:
    return {"kind": one.kind, "persons": one.persons, "records": one.records, "bits": one.bits, "why": one.why}


def _tell(counts: dict[str, Any], dry_run: bool) -> None:
    would = "would have" if dry_run else "have"
    click.echo(
        f"by identifiers and stewards: {counts['persons']} persons looked at, {counts['moved']} records {would} "
        f"another person, {counts['retired']} persons {would} become part of another, "
        f"{counts['conflicts']} new conflicts"
    )
    if "algorithm" not in counts:
        return
    if not dry_run:
        click.echo(
            f"by {counts['algorithm']}: {counts['merged']} persons merged, {counts['split']} split, "
            f"{counts['asked']} new tasks, {counts['passed_over']} changes passed over"
        )
        return
    for kind in ("merge", "split", "review-merge", "review-split"):
        click.echo(f"by {counts['algorithm']}: {counts[kind]} {kind}")
    for one in counts["changes"][:_SHOWN]:
        told = f"{one['kind']:<13} records {one['records'][0]} and {one['records'][1]}, {one['bits']:+.1f} bits"
        click.echo(f"  {told}{', ' + ' '.join(one['why']) if one['why'] else ''}")
    if len(counts["changes"]) > _SHOWN:
        click.echo(f"  and {len(counts['changes']) - _SHOWN} more (--json or --report has all)")


COMMANDS: tuple[click.Command, ...] = (train, relink)
