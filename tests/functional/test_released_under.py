"""After two persons were taken for one: what was released meanwhile, to whom, and that they are told."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.small_exchange import SmallExchange, hold_study
from tests.services.exchange import add_client
from tests.services.sinks import WebhookSink, webhook


@pytest.fixture(scope="module")
def hook() -> Iterator[WebhookSink]:
    """Where notices are posted."""
    yield from webhook()


@pytest.fixture(scope="module")
def exchange(hook: WebhookSink) -> Iterator[SmallExchange]:
    """Persons `a`, `b` and `c`, each with a study at north."""
    made = SmallExchange(GATEWAY_ALERT_WEBHOOK=hook.url, GATEWAY_ALERT_WEBHOOK_SECRET="a secret of sixteen and more")
    archive = made.add_archive("north")
    for number, name in enumerate(("a", "b", "c"), 1):
        made.add_person(name, "north")
        hold_study(archive, name, f"2.25.{number}")
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

    assert len(told["answers"]) == 2
    for answer in told["answers"]:
        assert {uid for given in answer["studies"] for uid in given["uids"]} == {"2.25.1", "2.25.2"}
    (span,) = told["spans"]
    assert span["patient"] == story["a"]
    assert set(span["patients"]) == {story["a"], story["b"]}
    assert {one["organization"]: len(one["answers"]) for one in told["recipients"]} == {
        "urn:oid:2.25.98": 1,
        "urn:oid:2.25.99": 1,
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
    assert {(one["organization"], one["count"]) for one in listed} == {("urn:oid:2.25.98", 1), ("urn:oid:2.25.99", 1)}
    assert all(set(one["patients"]) == {story["a"], story["b"]} for one in listed)
    assert "2 studies of north" in exchange.gateway.run("audit", "released-under", str(story["parted"])).stdout


def test_the_accounting_of_who_was_taken_for_another_has_what_was_given_then(
    exchange: SmallExchange, story: dict[str, Any]
) -> None:
    """Both answers of the wrong link, said to be of it, and the one from after; of no other person."""
    told = exchange.gateway.run_json("audit", "accounting", story["b"])["disclosures"]

    assert [one.get("wrong_link", False) for one in told] == [True, True, False]
    assert [sorted(one["studies"][0]["uids"]) for one in told] == [["2.25.1", "2.25.2"]] * 2 + [["2.25.2"]]


def test_that_it_was_looked_at_is_in_both_histories_and_what_is_no_link_is_refused(
    exchange: SmallExchange, story: dict[str, Any]
) -> None:
    """DCM 110101 for both persons; exit 1 with a reason."""
    asked = [one["patient"] for one in exchange.audit() if one.get("reason") == "audit released-under"]
    assert set(asked[-2:]) == {story["a"], story["b"]}
    for link in ("nothing", "99999", "record:99999"):
        exchange.gateway.run("audit", "released-under", link, expect=1)
    assert "nothing was released" in exchange.gateway.run("audit", "released-under", "record:3").stdout
