"""What SMART scopes allow, and what of those asked for is granted."""

import pytest

from gateway.auth.smart_scopes import can, can_include, grant, parse_scope, problems_of, require
from gateway.errors import ScopeMissing


@pytest.mark.parametrize(
    ("text", "as_version_2"),
    [
        ("system/ImagingStudy.rs", "system/ImagingStudy.rs"),
        ("patient/*.cruds", "patient/*.cruds"),
        ("user/Patient.s", "user/Patient.s"),
        ("patient/ImagingStudy.read", "patient/ImagingStudy.rs"),
        ("system/Consent.write", "system/Consent.cud"),
        ("patient/*.*", "patient/*.cruds"),
        ("patient/ImagingStudy.rs?modality=http://dicom.nema.org/resources/ontology/DCM|CT",) * 2,
    ],
)
def test_both_versions_of_the_grammar_are_read(text: str, as_version_2: str) -> None:
    """Version 1's words are those of version 2 by another name."""
    assert str(parse_scope(text)) == as_version_2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "openid",
        "launch/patient",
        "system/ImagingStudy",
        "system/ImagingStudy.",
        "system/ImagingStudy.sr",
        "system/ImagingStudy.rr",
        "system/ImagingStudy.rx",
        "system/ImagingStudy.RS",
        "System/ImagingStudy.rs",
        "system/imagingStudy.rs",
        "system/ImagingStudy.rs?",
        "system/ImagingStudy.rs?a=b c",
        "system/ImagingStudy.rs\n",
        "system/Imaging-Study.rs",
        "system/../ImagingStudy.rs",
        "group/ImagingStudy.rs",
        "system/**.rs",
    ],
)
def test_t034_a_text_that_breaks_the_grammar_is_no_scope(text: str) -> None:
    """Letters out of order, unknown ones and anything around them make it no scope at all."""
    assert parse_scope(text) is None


def test_t034_reading_and_searching_are_two_things() -> None:
    """`.r` does not search, `.s` does not read, another type's scope reaches neither."""
    assert can(("system/ImagingStudy.r",), "ImagingStudy", "r", patient_bound=False)
    assert not can(("system/ImagingStudy.r",), "ImagingStudy", "s", patient_bound=False)
    assert not can(("system/ImagingStudy.s",), "ImagingStudy", "r", patient_bound=False)
    assert not can(("system/Patient.rs",), "ImagingStudy", "s", patient_bound=False)


def test_a_scope_that_does_not_reach_is_refused_by_name() -> None:
    """`require` raises, and says what is missing in our own words."""
    with pytest.raises(ScopeMissing) as refused:
        require(("system/ImagingStudy.r",), "ImagingStudy", "s", patient_bound=False)
    assert refused.value.reason == "the token has no scope for ImagingStudy.s"


def test_several_scopes_add_up() -> None:
    """`.r` and `.s` together are `.rs`."""
    scopes = ("system/ImagingStudy.r", "system/ImagingStudy.s", "nonsense")
    require(scopes, "ImagingStudy", "r", patient_bound=False)
    require(scopes, "ImagingStudy", "s", patient_bound=False)


@pytest.mark.parametrize("scope", ["patient/ImagingStudy.read", "patient/*.read", "patient/*.rs"])
def test_t036_version_1_scopes_read_and_search(scope: str) -> None:
    """`.read` is `.rs`, on one type or all."""
    require((scope,), "ImagingStudy", "s", patient_bound=True)
    require((scope,), "ImagingStudy", "r", patient_bound=True)
    assert not can((scope,), "ImagingStudy", "u", patient_bound=True)


def test_a_patients_scope_without_a_patient_reaches_nothing() -> None:
    """A missing patient context is never system access (SMART Imaging Access, token checks)."""
    assert can(("patient/ImagingStudy.rs",), "ImagingStudy", "s", patient_bound=True)
    assert not can(("patient/ImagingStudy.rs",), "ImagingStudy", "s", patient_bound=False)


def test_a_users_scope_reaches_with_a_token_of_somebody_who_signed_in() -> None:
    """A system that asks for itself has no user behind it; a user's token has no system's authority."""
    assert can(("user/ImagingStudy.rs",), "ImagingStudy", "s", patient_bound=False, signed_in=True)
    assert can(("user/ImagingStudy.rs",), "ImagingStudy", "s", patient_bound=True, signed_in=True)
    assert not can(("user/ImagingStudy.rs",), "ImagingStudy", "s", patient_bound=False)
    assert not can(("user/ImagingStudy.rs",), "ImagingStudy", "s", patient_bound=True)


def test_a_users_scope_reads_and_writes_nothing_and_never_opens_the_audit() -> None:
    """Whatever an app is registered for, a clinician reads images, patients and consents with it."""
    for resource_type in ("ImagingStudy", "Patient", "Consent"):
        reached = {
            letter
            for letter in "cruds"
            if can(("user/*.cruds",), resource_type, letter, patient_bound=False, signed_in=True)
        }  # type: ignore[arg-type]
        assert reached == {"r", "s"}
    assert not can(("user/*.cruds",), "AuditEvent", "s", patient_bound=False, signed_in=True)
    assert not can(("user/AuditEvent.rs",), "AuditEvent", "r", patient_bound=True, signed_in=True)


def test_t034_a_systems_scope_reaches_nothing_in_a_token_of_somebody_who_signed_in() -> None:
    """Were it ever in one, it would open everybody's studies."""
    assert not can(("system/ImagingStudy.rs",), "ImagingStudy", "s", patient_bound=True, signed_in=True)
    assert can(("patient/ImagingStudy.rs",), "ImagingStudy", "s", patient_bound=True, signed_in=True)


def test_any_token_reads_the_directory_and_none_writes_it() -> None:
    """Endpoint and Organization need no scope of their own."""
    for resource_type in ("Endpoint", "Organization"):
        require((), resource_type, "r", patient_bound=False)
        require((), resource_type, "s", patient_bound=True)
        assert not can((), resource_type, "u", patient_bound=False)


def test_an_included_patient_needs_a_scope_of_its_own() -> None:
    """Whoever may read or search patients may be shown one beside a study; an Endpoint comes along always."""
    assert not can_include(("system/ImagingStudy.rs",), "Patient", patient_bound=False)
    assert can_include(("system/Patient.r",), "Patient", patient_bound=False)
    assert can_include(("system/Patient.s",), "Patient", patient_bound=False)
    assert can_include(("system/ImagingStudy.rs",), "Endpoint", patient_bound=False)


@pytest.mark.parametrize(
    ("requested", "registered", "granted"),
    [
        ("system/ImagingStudy.rs", "system/ImagingStudy.rs", "system/ImagingStudy.rs"),
        ("system/ImagingStudy.read", "system/ImagingStudy.rs", "system/ImagingStudy.read"),
        ("system/ImagingStudy.cruds", "system/ImagingStudy.rs", "system/ImagingStudy.rs"),
        ("system/ImagingStudy.rs", "system/ImagingStudy.r system/ImagingStudy.s", "system/ImagingStudy.rs"),
        ("system/ImagingStudy.rs", "system/*.r", "system/ImagingStudy.r"),
        ("system/*.rs", "system/ImagingStudy.rs system/Patient.r", "system/ImagingStudy.rs system/Patient.r"),
        ("system/*.rs", "system/*.rs system/Patient.rs", "system/*.rs"),
        ("system/*.cruds", "system/*.rs system/Consent.cud", "system/*.rs system/Consent.cud"),
        ("system/Patient.rs", "system/ImagingStudy.rs", ""),
        ("patient/ImagingStudy.rs", "patient/ImagingStudy.rs", ""),
        ("user/ImagingStudy.rs openid launch", "user/ImagingStudy.rs", ""),
        ("system/ImagingStudy.rs?modality=CT", "system/ImagingStudy.rs", "system/ImagingStudy.rs?modality=CT"),
        ("system/ImagingStudy.rs", "system/ImagingStudy.rs?modality=CT", "system/ImagingStudy.rs?modality=CT"),
        ("system/ImagingStudy.rs?modality=CT", "system/*.r", "system/ImagingStudy.r?modality=CT"),
        ("system/*.rs", "system/ImagingStudy.rs?modality=CT", "system/ImagingStudy.rs?modality=CT"),
        ("system/ImagingStudy.rs?modality=MR", "system/ImagingStudy.rs?modality=CT", ""),
        ("system/*.rs?modality=CT", "system/*.rs", ""),
        ("system/ImagingStudy.rs?accession=7", "system/*.rs", ""),
        (
            "system/ImagingStudy.rs",
            "system/ImagingStudy.r system/ImagingStudy.s?modality=CT",
            "system/ImagingStudy.r system/ImagingStudy.s?modality=CT",
        ),
        ("system/ImagingStudy.sr system/ImagingStudy.s", "system/*.*", "system/ImagingStudy.s"),
        ("system/ImagingStudy.s system/ImagingStudy.s", "system/*.*", "system/ImagingStudy.s"),
    ],
)
def test_the_grant_is_what_both_sides_say(requested: str, registered: str, granted: str) -> None:
    """The intersection, in the words asked where it is whole; nothing where it is empty."""
    assert " ".join(grant(requested.split(), registered.split(), context="system")) == granted


def test_scopes_to_register_are_checked_all_at_once() -> None:
    """Each scope that can't be registered is named; having none is a problem too."""
    assert problems_of(["system/ImagingStudy.rs", "system/*.read"]) == []
    assert problems_of(["system/ImagingStudy.rs?modality=CT&started=ge2020"]) == []
    found = problems_of(["system/ImagingStudy.sr", "system/Patient.rs?gender=male"])
    assert len(found) == 2
    assert "not a SMART resource scope" in found[0]
    assert "modality, bodysite, started, status, identifier" in found[1]
    assert problems_of([]) == ["at least one scope is needed"]


@pytest.mark.parametrize("scope", ["patient/*.*", "user/ImagingStudy.rs"])
def test_a_scope_that_no_client_could_be_granted_is_not_registered(scope: str) -> None:
    """Who signs in has it, and a registered client asks for itself; what would be granted is said."""
    (problem,) = problems_of(["system/ImagingStudy.rs", scope])
    assert repr(scope) in problem
    assert problem.endswith(
        {"patient/*.*": "as system/*.cruds", "user/ImagingStudy.rs": "as system/ImagingStudy.rs"}[scope]
    )


def test_an_app_that_people_sign_in_to_has_their_scopes() -> None:
    """Whoever registers it says in which contexts it may ask; a system's scope is none of them."""
    assert problems_of(["patient/ImagingStudy.rs", "user/*.read"], ("patient", "user")) == []
    (problem,) = problems_of(["patient/ImagingStudy.rs", "system/*.rs"], ("patient", "user"))
    assert problem.endswith("is none of patient/, user/")
