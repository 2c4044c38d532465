"""A DICOM file opened once for all that is made of it: its header, whose it is, and the ids that follow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from io import BytesIO
from itertools import islice
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from connectors.base import SourceRecord
from mappers.base import CannotMap, Issue, MappingContext
from mappers.dicom.charset import TextDecoder
from mappers.dicom.datatypes import fhir_datetime, instant
from mappers.dicom.header import TEXT_VRS, Header, HeaderError, neutral_preamble, read_header, tag_name
from mappers.dicom.patient import PatientNumber, Person, patient_id
from mappers.identity_keys import local_system, organization_id, resource_id

SPECIFIC_CHARACTER_SET = 0x00080005
SOP_CLASS_UID, SOP_INSTANCE_UID = 0x00080016, 0x00080018
STUDY_INSTANCE_UID, SERIES_INSTANCE_UID = 0x0020000D, 0x0020000E
ACCESSION_NUMBER, REQUEST_ATTRIBUTES = 0x00080050, 0x00400275
PATIENT_NAME, PATIENT_ID, ISSUER_OF_PATIENT_ID = 0x00100010, 0x00100020, 0x00100021
ISSUER_QUALIFIERS, OTHER_PATIENT_IDS, OTHER_PATIENT_IDS_SEQUENCE = 0x00100024, 0x00101000, 0x00101002
BIRTH_DATE, PATIENT_SEX, ZONE = 0x00100030, 0x00100040, 0x00080201
UNIVERSAL_ENTITY_ID, UNIVERSAL_ENTITY_ID_TYPE = 0x00400032, 0x00400033

# When this instance was stated, the surest first: date and time elements
STATED_AT = (
    (0x00080012, 0x00080013),
    (0x00080023, 0x00080033),
    (0x00080022, 0x00080032),
    (0x00080021, 0x00080031),
    (0x00080020, 0x00080030),
)
MAX_ITEMS = 200  # of a sequence in the header
MAX_EVIDENCE = 5_000  # texts inside sequences that the choice of the character set looks at

# Sequences whose text is read
CONTENT_SEQUENCE, VERIFYING_OBSERVERS, PROCEDURE_CODES, CONCEPT_NAME = 0x0040A730, 0x0040A073, 0x00081032, 0x0040A043
_READ = (CONTENT_SEQUENCE, VERIFYING_OBSERVERS, PROCEDURE_CODES, CONCEPT_NAME, REQUEST_ATTRIBUTES, OTHER_PATIENT_IDS_SEQUENCE)


@dataclass(frozen=True)
class Instance:
    """What the parts of the map share."""

    header: Header
    facility: str
    zone: str
    sha256: str
    study_uid: str
    series_uid: str
    instance_uid: str
    content: bytes
    peer: str = ""

    @property
    def study_id(self) -> str:
        return resource_id("ImagingStudy", self.facility, self.study_uid)

    @cached_property
    def patient_id(self) -> str:
        return patient_id(self.person, self.facility, self.peer, fallback=("study", self.study_uid))

    @property
    def subject(self) -> dict[str, Any]:
        return {"reference": f"Patient/{self.patient_id}"}

    @property
    def organization(self) -> dict[str, Any]:
        return {"reference": f"Organization/{organization_id(self.facility)}"}

    @cached_property
    def person(self) -> Person:
        header = self.header
        return Person(
            number=PatientNumber(header.text(PATIENT_ID), header.text(ISSUER_OF_PATIENT_ID), self._authority(ISSUER_QUALIFIERS)),
            name=header.text(PATIENT_NAME),
            birth_date=header.text(BIRTH_DATE),
            sex=header.text(PATIENT_SEX),
            others=self._other_numbers(),
            charset_repaired=header.decoder.repaired,
        )

    def _other_numbers(self) -> tuple[PatientNumber, ...]:
        plain = [PatientNumber(value) for value in self.header.texts(OTHER_PATIENT_IDS) if value]
        nested = [
            PatientNumber(
                self.nested_text(item, PATIENT_ID), self.nested_text(item, ISSUER_OF_PATIENT_ID), self._item_authority(item)
            )
            for item in self.items(OTHER_PATIENT_IDS_SEQUENCE)
        ]
        known = {number.value for number in nested}
        return (*nested, *(number for number in plain if number.value not in known))

    def _authority(self, tag: int) -> str:
        return next(filter(None, map(self._authority_of, self.items(tag))), "")

    def _item_authority(self, item: Dataset) -> str:
        qualifiers = item.get(ISSUER_QUALIFIERS)
        return self._authority_of(qualifiers.value[0]) if qualifiers is not None and qualifiers.value else ""

    def _authority_of(self, item: Dataset) -> str:
        is_oid = self.nested_text(item, UNIVERSAL_ENTITY_ID_TYPE) == "ISO"
        return self.nested_text(item, UNIVERSAL_ENTITY_ID) if is_oid else ""

    def based_on(self) -> list[dict[str, Any]]:
        """The orders, by the numbers that PACS and RIS share; they may come later than the images."""
        numbers = [self.header.text(ACCESSION_NUMBER)]
        numbers += [self.nested_text(item, ACCESSION_NUMBER) for item in self.items(REQUEST_ATTRIBUTES)]
        return [self._order(number) for number in dict.fromkeys(numbers) if number]

    def _order(self, number: str) -> dict[str, Any]:
        order = resource_id("ServiceRequest", self.facility, number)
        return {
            "reference": f"ServiceRequest/{order}",
            "identifier": {"system": local_system(self.facility, "order"), "value": number},
        }

    def items(self, tag: int) -> list[Dataset]:
        """The items of a sequence of the header; none where it is not there or cannot be read."""
        if tag not in self.header.nested:
            return []
        element = self.dataset.get(tag)
        value = element.value if element is not None else None
        return list(value)[:MAX_ITEMS] if isinstance(value, (list, tuple)) or (hasattr(value, "__iter__") and value) else []

    @cached_property
    def dataset(self) -> Dataset:
        """The data set with its sequences, up to the pixel data; empty where the library cannot read it."""
        try:
            return dcmread(BytesIO(self.content), force=True, stop_before_pixels=True)
        except Exception:
            # pydicom raises whatever the bytes lead it to; the header is read without it
            return Dataset()

    def nested_text(self, item: Dataset, tag: int, *, whole: bool = False) -> str:
        """A text inside a sequence, by the data set's character set and not by the library's; `whole`: with its backslashes."""
        if tag not in item:
            return ""
        value = item.get_item(tag).value
        text = self._nested_decoder.decode(value) if isinstance(value, bytes) else str(value or "")
        return (text if whole else text.split("\\")[0]).strip(" \0")

    @cached_property
    def _nested_decoder(self) -> TextDecoder:
        """Chosen with the text of the sequences too: a report says most of what it says there."""
        sequences = (self.dataset.get(tag) for tag in _READ if tag in self.header.nested)
        texts = (text for element in sequences if element is not None for item in element.value for text in _texts(item))
        return self.header.decoder_with(islice(texts, MAX_EVIDENCE))

    def stated_datetime(self, day: int, clock: int, issues: list[Issue]) -> str:
        """A date and a time element as dateTime; one that is no date is named and left out."""
        stated = self.header.text(day)
        value = fhir_datetime(stated, self.header.text(clock), self.zone)
        if stated and not value:
            issues.append(Issue("invalid-value", tag_name(day), f"no date, {len(stated)} characters"))
        return value

    def stated_at(self) -> datetime | None:
        found = (instant(self.header.text(day), self.header.text(clock), self.zone) for day, clock in STATED_AT)
        return next(filter(None, found), None)


def _texts(item: Dataset) -> Iterator[bytes]:
    """The bytes of the text elements, before the library decodes them by its own tables; nesting is limited by the header."""
    for tag in item.keys():  # noqa: SIM118  iterating a data set decodes each element
        element = item.get_item(tag)
        if element.VR == "SQ":
            for nested in item[tag].value:
                yield from _texts(nested)
        elif element.VR in (*TEXT_VRS, None) and isinstance(element.value, bytes):
            yield element.value


def open_instance(record: SourceRecord, context: MappingContext, issues: list[Issue]) -> Instance:
    """Raise CannotMap if the bytes are no DICOM, or name no study, series, instance or class."""
    try:
        header = read_header(record.content, charset=record.hints.get("charset", "") or context.charset)
    except HeaderError as error:
        raise CannotMap(f"no readable DICOM: {error}") from None
    issues.extend(header.issues)
    _charset_issues(header, issues)
    study, series, instance = (_required_uid(header, tag) for tag in (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID))
    _required_uid(header, SOP_CLASS_UID)
    content = neutral_preamble(record.content)
    if not header.text(PATIENT_ID):
        issues.append(Issue("missing", tag_name(PATIENT_ID), "a patient of this study alone"))
    return Instance(
        header=header,
        facility=record.facility,
        zone=header.text(ZONE) or record.hints.get("zone", "") or context.zone,
        sha256=_digest(record, content),
        study_uid=study,
        series_uid=series,
        instance_uid=instance,
        content=content,
        peer=record.hints.get("peer", ""),
    )


def _digest(record: SourceRecord, content: bytes) -> str:
    """SHA-256 of what is kept: the journal knows it of a record, unless the preamble was changed. Half a megabyte takes 3 ms."""
    known = record.hints.get("sha256", "") if content is record.content else ""
    return known or hashlib.sha256(content).hexdigest()


def _required_uid(header: Header, tag: int) -> str:
    uid = header.uid(tag)
    if not uid:
        stated = header.text(tag)
        raise CannotMap(f"{tag_name(tag)} is {'not made of 1 to 64 digits and dots' if stated else 'missing'}")
    return uid


def _charset_issues(header: Header, issues: list[Issue]) -> None:
    decoder = header.decoder
    if decoder.repaired:
        issues.append(Issue("charset-repaired", tag_name(SPECIFIC_CHARACTER_SET), decoder.repaired))
    if decoder.lossy:
        issues.append(Issue("invalid-value", tag_name(SPECIFIC_CHARACTER_SET), "no character set reads all text"))
