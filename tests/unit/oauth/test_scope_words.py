"""What a person reads before they let an app in."""

from gateway.oauth.scope_words import kept_of, rows_of

SCOPES = (
    *("launch/patient", "patient/ImagingStudy.rs", "patient/Consent.cruds", "openid", "fhirUser", "offline_access"),
    *("user/ImagingStudy.rs", "patient/ImagingStudy.rs?modality=http://dicom.nema.org/resources/ontology/DCM|CT"),
    "patient/*.read",
)


def rows() -> list[str]:
    """The words of each row."""
    return [row.words for row in rows_of(SCOPES, offline_days=90, online_hours=8)]


def test_each_thing_has_its_row_in_plain_words() -> None:
    """Seeing and changing are told apart; a limit is told; who one is is one row."""
    told = rows()
    assert told[0] == "See imaging studies (such as X-rays, CT and MR scans) and open their images"
    assert told[1] == "See and change the rules of who may see imaging"
    assert told[2].endswith("of patients, as your work allows")
    assert told[3].endswith("only: modality CT")
    assert told[4] == "See everything that the exchange holds"
    assert told[5] == "Know who you are"
    assert told[6].startswith("Stay connected for 90 days")
    assert len(told) == 7


def test_what_is_ticked_is_kept_with_what_nobody_decides() -> None:
    """Numbers that are none, or of no row, tick nothing."""
    all_rows = rows_of(SCOPES, offline_days=90, online_hours=8)
    assert kept_of(all_rows, ["0", "5"]) == {"launch/patient", "patient/ImagingStudy.rs", "openid", "fhirUser"}
    assert kept_of(all_rows, ["99", "-1", "x", "²", "", "1e3"]) == {"launch/patient"}
