"""Purposes of use: the part of HL7 `v3-ActReason` that access is asked and granted for, as the tree it is."""

SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
URN = "urn:oid:2.16.840.1.113883.5.8"
"""The same code system as a URN: the FAST Security (UDAP) B2B object states `urn:oid:…#CODE`."""

_PARENT: dict[str, str | None] = {
    "TREAT": None,
    "CLINTRL": "TREAT",
    "COC": "TREAT",
    "ETREAT": "TREAT",
    "BTG": "ETREAT",
    "ERTREAT": "ETREAT",
    "POPHLTH": "TREAT",
    "TREATDS": "TREAT",
    "HRESCH": None,
    "CLINTRCH": "HRESCH",
    "CLINTRCHNPC": "CLINTRCH",
    "CLINTRCHPC": "CLINTRCH",
    "PRECLINTRCH": "CLINTRCH",
    "PATRQT": None,
    "FAMRQT": "PATRQT",
    "PWATRNY": "PATRQT",
    "SUPNWK": "PATRQT",
    "PUBHLTH": None,
    "DISASTER": "PUBHLTH",
    "THREAT": "PUBHLTH",
    "HMARKT": None,
    "HPAYMT": None,
    "HOPERAT": None,
}

_WORDS = {
    "TREAT": "treatment",
    "CLINTRL": "clinical trial with treatment",
    "COC": "coordination of care",
    "ETREAT": "emergency treatment",
    "BTG": "break-glass emergency",
    "ERTREAT": "treatment in an emergency room",
    "POPHLTH": "population health",
    "TREATDS": "treatment and disclosure",
    "HRESCH": "research",
    "CLINTRCH": "clinical trial",
    "CLINTRCHNPC": "clinical trial without patient care",
    "CLINTRCHPC": "clinical trial with patient care",
    "PRECLINTRCH": "preparation of a clinical trial",
    "PATRQT": "at the patient's request",
    "FAMRQT": "at the family's request",
    "PWATRNY": "at the request of who has power of attorney",
    "SUPNWK": "at the request of the support network",
    "PUBHLTH": "public health",
    "DISASTER": "disaster relief",
    "THREAT": "threat to safety",
    "HMARKT": "marketing",
    "HPAYMT": "payment",
    "HOPERAT": "operations",
}

KNOWN = frozenset(_PARENT)
BREAK_GLASS = "BTG"


def is_within(purpose: str, ancestor: str) -> bool:
    """Whether `purpose` is `ancestor` or lies below it. An unknown code lies within itself alone."""
    step: str | None = purpose
    while step is not None:
        if step == ancestor:
            return True
        step = _PARENT.get(step)
    return False


def in_words(code: str) -> str:
    """The purpose in words for people; an unknown code as it is."""
    return _WORDS.get(code, code)


def code_of(text: str) -> str | None:
    """The code that `text` states: a bare code, `system|code`, `system#code`, or `urn:…:CODE`; None if unknown."""
    if text in KNOWN:
        return text
    for separator in ("|", "#", ":", "/"):
        system, found, code = text.rpartition(separator)
        if found and code in KNOWN and (separator == ":" or system.rstrip("/") in (SYSTEM, URN, "v3-ActReason")):
            return code
    return None
