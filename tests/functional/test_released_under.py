"""After two persons were taken for one: what was released meanwhile, to whom, and that they are told."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.small_exchange import SmallExchange, hold_study
from tests.services.exchange import add_client
from tests.services.sinks import WebhookSink, webhook

ONLY_THERE = {"a": ("east",), "b": ("south",)}
OF = {"east": "2.25.11", "south": "2.25.12"}


@pytest.fixture(scope="module")
def hook() -> Iterator[WebhookSink]:
    """Where notices are posted."""
    yield from webhook()


@pytest.fixture(scope="module")
def exchange(hook: WebhookSink) -> Iterator[SmallExchange]:
    """Persons `a`, `b` and `c`, each with a study at north; east knows `a` alone, and south `b`."""
    made = SmallExchange(GATEWAY_ALERT_WEBHOOK=hook.url, GATEWAY_ALERT_WEBHOOK_SECRET="a secret of sixteen and more")
    archive = made.add_archive("north")
    for number, name in enumerate(("a", "b", "c"), 1):
        made.add_person(name, "north", *ONLY_THERE.get(name, ()))
        hold_study(archive, name, f"2.25.{number}")
    for name, (facility,) in ONLY_THERE.items():
        hold_study(made.add_archive(facility), name, OF[facility])
    yield made.start()
    made.stop()


@pytest.fixture(scope="module")
def story(exchange: SmallExchange) -> dict[str, Any]:
    """`b` was merged into `a`, asked for by two, and parted again; `c` had nothing to do with it."""
    run = exchange.gateway.run_json
    a, b = exchange.person_id("a", "north"), exchange.person_id("b", "north")
    exchange.search("a", "north")
    merged = run("patients", "merge", b, a)
    exchange.search("b", "north")
    other = add_client(exchange.gateway, "clinic", organization="urn:oid:2.25.98").token(exchange.gateway)
    exchange.get("/ImagingStudy", {"patient": a}, token=other).raise_for_status()
    exchange.get(f"/Patient/{a}").raise_for_status()
    exchange.search("a", "north", modality="US")  # nothing of it
    exchange.search("c", "north")
    parted = run("patients", "unmerge", b)
    exchange.search("a", "north")
    exchange.search("b", "north")
    return {"a": a, "b": b, "merged": merged["decision"], "parted": parted["decision"]}


def test_every_answer_of_the_false_link_is_listed_with_its_recipients(
    exchange: SmallExchange, story: dict[str, Any]
) -> None:
    """Neither those from before it nor those from after, nor other people's, nor empty ones."""
    told = exchange.gateway.run_json("audit", "released-under", str(story["parted"]))

    assert len(told["answers"]) == 3
    for answer in told["answers"]:
        if answer["other"]:  # who they are, which was read
            assert (answer["other"], answer["studies"]) == ([f"Patient/{story['a']}"], [])
            continue
        assert {uid for given in answer["studies"] for uid in given["uids"]} == {"2.25.1", "2.25.2", *OF.values()}
    assert {span["patient"] for span in told["spans"]} == {story["a"]}
    assert all(set(span["patients"]) == {story["a"], story["b"]} for span in told["spans"])
    assert {one["organization"]: len(one["answers"]) for one in told["recipients"]} == {
        "urn:oid:2.25.98": 1,
        "urn:oid:2.25.99": 2,
    }


@pytest.mark.parametrize("by", ["decision that was wrong", "record"])
def test_a_link_is_named_by_what_made_it_or_by_a_record_too(
    exchange: SmallExchange, story: dict[str, Any], by: str
) -> None:
    """The same answers."""
    whole = exchange.gateway.run_json("audit", "released-under", str(story["parted"]))
    record = whole["spans"][0]["records"][0]
    link = str(story["merged"]) if by.startswith("decision") else f"record:{record}"

    told = exchange.gateway.run_json("audit", "released-under", link)
    assert told["answers"] == whole["answers"]


def test_each_recipient_has_a_notice_once(exchange: SmallExchange, story: dict[str, Any], hook: WebhookSink) -> None:
    """Stored, listed, delivered; said again it makes none."""
    run = exchange.gateway.run_json
    assert run("audit", "released-under", str(story["parted"]), "--notify")["notices"] == 2
    assert run("audit", "released-under", str(story["parted"]), "--notify")["notices"] == 0

    listed = run("audit", "notices", "--kind", "released-under-false-link")["notices"]
    assert {(one["organization"], one["count"]) for one in listed} == {("urn:oid:2.25.98", 1), ("urn:oid:2.25.99", 2)}
    assert all(set(one["patients"]) == {story["a"], story["b"]} for one in listed)


def test_in_words_each_answer_says_what_was_given_be_it_studies_or_who_they_are(
    exchange: SmallExchange, story: dict[str, Any]
) -> None:
    """Never "0 studies"."""
    told = exchange.gateway.run("audit", "released-under", str(story["parted"])).stdout

    lines = [line.rpartition("  ")[2] for line in told.splitlines() if "  Lakeside EHR  " in line]
    assert len(lines) == 3
    assert lines[-1] == f"Patient/{story['a']}"
    assert all(line.startswith("4 studies of ") for line in lines[:2])
    assert "0 studies" not in told


@pytest.mark.parametrize(("name", "own", "theirs"), [("a", "2.25.1", "east"), ("b", "2.25.2", "south")])
def test_who_was_taken_for_another_and_the_other_too_are_accounted_what_may_be_theirs_and_that_it_may_not(
    exchange: SmallExchange, story: dict[str, Any], name: str, own: str, theirs: str
) -> None:
    """Of a facility that knows both, all of it, said to be of a wrong link; of one that knows the other alone nothing.

    Before and after there is no such hint; of no other person anything.
    """
    told = exchange.gateway.run_json("audit", "accounting", story[name])["disclosures"]
    given = [{part["facility"]: set(part["uids"]) for part in one["studies"]} for one in told if one["studies"]]
    hints = [one.get("wrong_link", False) for one in told if one["studies"]]

    certain, both = {"north": {own}, theirs: {OF[theirs]}}, {"north": {"2.25.1", "2.25.2"}, theirs: {OF[theirs]}}
    assert list(zip(hints, given, strict=True)) == [
        *([(False, certain)] if name == "a" else []),
        (True, both),
        (True, both),
        (False, certain),
    ]


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_patient_that_was_read_under_a_wrong_link_told_who_both_are(
    exchange: SmallExchange, story: dict[str, Any], name: str
) -> None:
    """Each accounting has it once, by the id of its own person."""
    told = exchange.gateway.run_json("audit", "accounting", story[name])["disclosures"]

    read = [(one["wrong_link"], one["other"]) for one in told if one["other"]]
    assert read == [(True, [f"Patient/{story[name]}"])]


def test_that_it_was_looked_at_is_in_both_histories_and_what_is_no_link_is_refused(
    exchange: SmallExchange, story: dict[str, Any]
) -> None:
    """DCM 110101 for both persons; exit 1 with a reason."""
    asked = [one["patient"] for one in exchange.audit() if one.get("reason") == "audit released-under"]
    assert set(asked[-2:]) == {story["a"], story["b"]}
    for link in ("nothing", "99999", "record:99999"):
        exchange.gateway.run("audit", "released-under", link, expect=1)
    (record,) = exchange.gateway.run_json("patients", "show", exchange.person_id("c", "north"))["records"]
    told = exchange.gateway.run("audit", "released-under", f"record:{record['record']}").stdout
    assert "nothing was released" in told
