"""Scopes, for all inputs: a grant is never wider than what was asked or what is registered."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import app_scopes
from gateway.auth.smart_scopes import can, grant, parse_scope

TYPES = ("ImagingStudy", "Patient", "Consent", "Endpoint")
LETTERS = "cruds"

contexts = st.sampled_from(("system", "patient", "user"))
verbs = st.one_of(
    st.sets(st.sampled_from(LETTERS), min_size=1).map(lambda some: "".join(sorted(some, key=LETTERS.index))),
    st.sampled_from(("read", "write", "*")),
)
scopes = st.builds(
    "{}/{}.{}{}".format,
    contexts,
    st.sampled_from((*TYPES, "*")),
    verbs,
    st.sampled_from(("", "", "", "?modality=CT")),
)
words = st.lists(st.one_of(scopes, st.text(max_size=20)), max_size=6)


@given(words, words)
def test_a_grant_never_reaches_further_than_either_side(requested: list[str], registered: list[str]) -> None:
    """Whatever a token with the grant can do, the request and the registration can do as well."""
    granted = grant(requested, registered, context="system")
    for resource_type in (*TYPES, "Observation"):
        for letter in LETTERS:
            if can(granted, resource_type, letter, patient_bound=True):  # type: ignore[arg-type]
                assert can(tuple(requested), resource_type, letter, patient_bound=True)  # type: ignore[arg-type]
                assert can(tuple(registered), resource_type, letter, patient_bound=True)  # type: ignore[arg-type]


@given(words, words)
def test_a_grant_gives_all_that_both_sides_say(requested: list[str], registered: list[str]) -> None:
    """Nothing that was asked for and is registered is lost on the way."""
    granted = grant(requested, registered, context="system")
    both = [tuple(text for text in side if text.startswith("system/")) for side in (requested, registered)]
    for resource_type in TYPES:
        for letter in LETTERS:
            if all(can(side, resource_type, letter, patient_bound=False) for side in both):  # type: ignore[arg-type]
                assert can(granted, resource_type, letter, patient_bound=False)  # type: ignore[arg-type]


@given(words, words)
def test_granting_again_changes_nothing(requested: list[str], registered: list[str]) -> None:
    """A grant asked for as it was given is given the same."""
    granted = grant(requested, registered, context="system")
    assert grant(granted, registered, context="system") == granted


@given(words, words)
def test_t035_a_refresh_never_reaches_further_than_the_grant(asked: list[str], granted: list[str]) -> None:
    """In no context, for no type and no interaction; and no word comes of it that was not granted."""
    given_ = app_scopes.narrowed(" ".join(asked), granted)
    assert {word for word in given_ if parse_scope(word) is None} <= set(granted)
    for resource_type in (*TYPES, "Observation"):
        for letter in LETTERS:
            for how in ({"patient_bound": True}, {"patient_bound": False, "signed_in": True}, {"patient_bound": False}):
                if can(given_, resource_type, letter, **how):  # type: ignore[arg-type]
                    assert can(tuple(granted), resource_type, letter, **how)  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_any_text_is_a_scope_or_is_not(text: str) -> None:
    """Parsing never fails, and what it reads it can say again."""
    scope = parse_scope(text)
    if scope is not None:
        assert parse_scope(str(scope)) == scope


@given(scopes)
def test_no_scope_is_read_wider_than_it_is_written(text: str) -> None:
    """Each interaction that counts is one that its own letters (or version 1's word) name."""
    scope = parse_scope(text)
    assert scope is not None
    written = text.split(".", 1)[1].split("?")[0]
    letters = {"read": "rs", "write": "cud", "*": "cruds"}.get(written, written)
    assert scope.interactions == frozenset(letters)
