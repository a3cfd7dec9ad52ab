"""Decisions in the words of a person. Pure."""

from collections.abc import Mapping

PURPOSE_WORDS: Mapping[str, str] = {
    "TREAT": "treatment",
    "CLINTRL": "a clinical trial",
    "COC": "coordination of care",
    "ETREAT": "emergency treatment",
    "BTG": "break-glass access",
    "ERTREAT": "emergency room treatment",
    "POPHLTH": "population health",
    "TREATDS": "treatment and disease surveillance",
    "HRESCH": "research",
    "CLINTRCH": "clinical trial research",
    "CLINTRCHNPC": "clinical trial research without patient care",
    "CLINTRCHPC": "clinical trial research with patient care",
    "PRECLINTRCH": "preclinical trial research",
    "PATRQT": "the patient's request",
    "FAMRQT": "the family's request",
    "PWATRNY": "a request under power of attorney",
    "SUPNWK": "the support network",
    "PUBHLTH": "public health",
    "DISASTER": "disaster response",
    "THREAT": "a public health threat",
    "HMARKT": "marketing",
    "HPAYMT": "payment",
    "HOPERAT": "operations",
}
"""Each purpose of use as a person would say it."""
