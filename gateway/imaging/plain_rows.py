"""Rows as nearly every archive sends them (PS3.18 Annex F), decoded straight into the attributes that are read.

Only an answer that is plain throughout comes this way: each attribute an object with at most one value of the JSON type
that its VR has there. Any other is read attribute by attribute (`dicom_json.py`). Both ways read the same out of the
same answer; this one takes a third of the time and of the memory, as what is not read is never made.
"""

from typing import Any

from msgspec import Struct, field
from msgspec.json import Decoder

from gateway.imaging.dicom_json import GREATEST, LONGEST_TEXT, LONGEST_TOKEN, clean, whole_number


class Text(Struct, frozen=True, gc=False):
    """An attribute whose value is a string."""

    Value: tuple[str] | None = None


class Number(Struct, frozen=True, gc=False):
    """An attribute of VR IS: a number, or from older archives a string."""

    Value: tuple[int | str] | None = None


class Texts(Struct, frozen=True, gc=False):
    """An attribute of several strings."""

    Value: tuple[str, ...] | None = None


class PersonName(Struct, frozen=True, gc=False):
    """The component groups of a name (PS3.18 §F.2.2)."""

    Alphabetic: str | None = None
    Ideographic: str | None = None
    Phonetic: str | None = None


class Name(Struct, frozen=True, gc=False):
    """An attribute of VR PN."""

    Value: tuple[PersonName] | None = None


class StudyRow(Struct, frozen=True, gc=False):
    """What is read of a row of a study query (PS3.18 table 10.6.3-3)."""

    uid: Text | None = field(name="0020000D", default=None)
    patient_id: Text | None = field(name="00100020", default=None)
    issuer: Text | None = field(name="00100021", default=None)
    patient_name: Name | None = field(name="00100010", default=None)
    birth_date: Text | None = field(name="00100030", default=None)
    date: Text | None = field(name="00080020", default=None)
    time: Text | None = field(name="00080030", default=None)
    offset: Text | None = field(name="00080201", default=None)
    accession: Text | None = field(name="00080050", default=None)
    accession_issuer: Any = field(name="00080051", default=None)
    availability: Text | None = field(name="00080056", default=None)
    modalities: Texts | None = field(name="00080061", default=None)
    referrer: Name | None = field(name="00080090", default=None)
    description: Text | None = field(name="00081030", default=None)
    procedure_codes: Any = field(name="00081032", default=None)
    institutional_department: Text | None = field(name="00081040", default=None)
    requesting_service: Text | None = field(name="00321033", default=None)
    series: Number | None = field(name="00201206", default=None)
    instances: Number | None = field(name="00201208", default=None)


class SeriesRow(Struct, frozen=True, gc=False):
    """What is read of a row of a series query (PS3.18 table 10.6.3-4)."""

    study: Text | None = field(name="0020000D", default=None)
    uid: Text | None = field(name="0020000E", default=None)
    patient_id: Text | None = field(name="00100020", default=None)
    date: Text | None = field(name="00080021", default=None)
    time: Text | None = field(name="00080031", default=None)
    offset: Text | None = field(name="00080201", default=None)
    modality: Text | None = field(name="00080060", default=None)
    description: Text | None = field(name="0008103E", default=None)
    body_part: Text | None = field(name="00180015", default=None)
    laterality: Text | None = field(name="00200060", default=None)
    number: Number | None = field(name="00200011", default=None)
    instances: Number | None = field(name="00201209", default=None)


_studies: Decoder[list[StudyRow]] = Decoder(list[StudyRow])
_series: Decoder[list[SeriesRow]] = Decoder(list[SeriesRow])


def decode_studies(body: str) -> list[StudyRow]:
    """The rows of a plain answer. Raises ValueError or RecursionError for one that is not, or is no JSON."""
    return _studies.decode(body)


def decode_series(body: str) -> list[SeriesRow]:
    """As `decode_studies`."""
    return _series.decode(body)


def text_of(attribute: Text | None, most: int = LONGEST_TEXT) -> str | None:
    """As `dicom_json.text`: the value cleaned, or None."""
    if attribute is None or attribute.Value is None:
        return None
    value = attribute.Value[0]
    if value.isprintable() and len(value) <= most:
        return value.strip(" ") or None
    return clean(value, most) or None


def token_of(attribute: Text | None) -> str | None:
    """As `dicom_json.token`: the value unpadded if it is short."""
    if attribute is None or attribute.Value is None:
        return None
    value = attribute.Value[0]
    return value.strip(" \0") if len(value) <= LONGEST_TOKEN else None


def count_of(attribute: Number | None) -> int | None:
    """As `dicom_json.count`: the value as a whole number that FHIR's unsignedInt can hold, or None."""
    if attribute is None or attribute.Value is None:
        return None
    value = attribute.Value[0]
    number = value if type(value) is int else whole_number(value)
    return number if number is not None and 0 <= number <= GREATEST else None


def groups_of(attribute: Name | None) -> tuple[str, ...]:
    """The component groups of the name, alphabetic, ideographic, phonetic, as the row has them."""
    if attribute is None or attribute.Value is None:
        return ()
    name = attribute.Value[0]
    return tuple([group for group in (name.Alphabetic, name.Ideographic, name.Phonetic) if group is not None])
