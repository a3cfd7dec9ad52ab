"""Studies that are sensitive: by the department they are from, by the programme of their facility (42 CFR Part 2)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.small_exchange import SmallExchange, hold_study, resources, uid_of, uids

BASIS = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-sec-label-basis"
NAMES = ("nobody-asked", "permits", "names-it")
RULES = """
[[rule]]
name = "psychiatry"
department = ["psychiatr*"]
labels = ["PSY"]
basis = "policy 7 of the exchange"
"""


def plain(name: str) -> str:
    """The person's study of north's radiology."""
    return f"2.25.91{NAMES.index(name)}1"


def psychiatric(name: str) -> str:
    """The person's study of north's psychiatry."""
    return f"2.25.91{NAMES.index(name)}2"


@pytest.fixture(scope="module")
def exchange() -> Iterator[SmallExchange]:
    """A hospital with a psychiatric department, and a programme for substance use."""
    made = SmallExchange(GATEWAY_CONSENT_POLICY="basic-normal")
    north, programme = made.add_archive("north"), made.add_archive("programme", part2=True)
    for name in NAMES:
        made.add_person(name, "north", "programme")
        for uid, department in ((plain(name), "Radiology"), (psychiatric(name), "PSYCHIATRY II")):
            hold_study(north, name, uid)
            north.studies[-1]["00081040"] = {"vr": "LO", "Value": [department]}
        hold_study(programme, name, f"2.25.91{NAMES.index(name)}3")
    made.file_consent("permits", {"type": "permit"})
    about_it = {"meaning": "authoredby", "reference": {"reference": "Organization/programme"}}
    made.file_consent("names-it", {"type": "permit", "data": [about_it]})
    data_dir = Path(made.gateway.env["GATEWAY_DATA_DIR"])
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / "label-rules.toml").write_text(RULES)
    yield made.start()
    made.stop()


def labels_of(study: dict[str, Any]) -> dict[str, list[str]]:
    """Each label's code, with what it rests on."""
    return {
        label["code"]: [
            one["valueCoding"].get("code") or one["valueCoding"]["display"]
            for one in label.get("extension", [])
            if one["url"] == BASIS
        ]
        for label in study["meta"]["security"]
    }


@pytest.mark.parametrize("form", [{}, {"_summary": "true"}, {"_elements": "identifier"}, {"_summary": "count"}])
def test_t065_an_implicit_policy_releases_nothing_sensitive(exchange: SmallExchange, form: dict[str, str]) -> None:
    """Neither of the department nor of the programme, in whatever form: it is for what is normal."""
    bundle = exchange.search("nobody-asked", "north", **form)
    assert bundle["total"] == 1
    assert uids(bundle) == ([] if form.get("_summary") == "count" else [plain("nobody-asked")])


def test_a_permit_for_everything_opens_the_department_and_not_the_programme(exchange: SmallExchange) -> None:
    """42 CFR §2.31: who consents to a programme's disclosure names it. What is shown says why it is sensitive."""
    bundle = exchange.search("permits", "north")
    assert {uid_of(study): labels_of(study) for study in resources(bundle)} == {
        plain("permits"): {"N": []},
        psychiatric("permits"): {"R": ["policy 7 of the exchange"], "PSY": ["policy 7 of the exchange"]},
    }
    assert "programme" not in str(bundle)


def test_a_permit_that_names_the_programme_opens_it_with_its_refrain(exchange: SmallExchange) -> None:
    """§2.32: codes and words that forbid to pass it on; the law as the basis of its labels."""
    (study,) = resources(exchange.search("names-it", "north"))
    law = ["42CFRPart2"]
    assert labels_of(study) == {"R": law, "SUD": law, "42CFRPart2": [], "NORDSCLCD": [], "NOREDISCLOSE": []}
    assert "42 CFR" in study["note"][0]["text"]
