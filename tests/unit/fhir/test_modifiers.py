"""A modifier that nobody understands is found wherever it stands."""

from typing import Any

import pytest

from gateway.errors import UnknownModifier
from gateway.fhir.modifiers import require_understood

MODIFIER = [{"url": "urn:x", "valueBoolean": True}]


@pytest.mark.parametrize(
    ("patient", "path"),
    [
        ({"modifierExtension": MODIFIER}, "Patient.modifierExtension"),
        ({"implicitRules": "urn:x"}, "Patient.implicitRules"),
        ({"contact": [{}, {"modifierExtension": MODIFIER}]}, "Patient.contact[1].modifierExtension"),
        ({"contained": [{"modifierExtension": MODIFIER}]}, "Patient.contained[0].modifierExtension"),
    ],
)
def test_it_is_named_by_its_path(patient: dict[str, Any], path: str) -> None:
    """At the top, inside of elements, inside of contained resources."""
    with pytest.raises(UnknownModifier, match=path.replace("[", r"\[")):
        require_understood(patient, "Patient")


def test_ordinary_extensions_do_no_harm() -> None:
    """FHIR R4 §2.4: whoever doesn't know them may ignore them."""
    require_understood({"extension": MODIFIER, "name": [{"extension": MODIFIER}], "modifierExtension": []}, "Patient")
