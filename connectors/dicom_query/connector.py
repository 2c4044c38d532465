"""DIMSE pull: studies by date with C-FIND, their instances with C-GET, or with C-MOVE to our own Storage SCP.

https://dicom.nema.org/medical/dicom/current/output/chtml/part04/chapter_C.html (Study Root)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from connectors.base import SourceDenied, SourceUnavailable
from connectors.dicom.pull import Found, Pull, Taken
from connectors.dicom_query.classes import BY_MODALITY, UNKNOWN
from connectors.dicom_query.config import DicomQueryConfig
from connectors.dicom_query.session import FIND, GET, MOVE, Session
from mappers.dicom.header import UID

log = logging.getLogger(__name__)

PENDING: Final = (0xFF00, 0xFF01)
UNKNOWN_DESTINATION, BROKEN = 0xA801, -1
MAX_ANSWERS = 200_000  # of one C-FIND


class DicomQueryConnector(Pull):
    """Studies of a PACS that is asked by DIMSE, the oldest study date first."""

    def __init__(
        self,
        config: DicomQueryConfig,
        *,
        source: str,
        facility: str,
        hints: Mapping[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(config, DimseArchive(config), source=source, facility=facility, hints=hints, clock=clock)


class DimseArchive:
    def __init__(self, config: DicomQueryConfig) -> None:
        self._config = config
        self._session = Session(config)
        self._classes: dict[str, frozenset[str]] = {}  # series → the SOP classes of its instances

    def check(self) -> None:
        """Connection, association, C-ECHO, the services offered, a query: each cause has its own words."""
        try:
            self._session.echo()
            self._session.offers(FIND, GET if self._config.method == "get" else MOVE)
            next(self._found("STUDY", StudyDate="19000101", StudyInstanceUID=""), None)
        finally:
            self.close()

    def close(self) -> None:
        self._session.close()
        self._classes.clear()

    def studies(self, first: date, last: date) -> Iterator[Found]:
        asked = {"NumberOfStudyRelatedSeries": "", "NumberOfStudyRelatedInstances": ""}
        rows = list(self._found("STUDY", StudyDate=f"{first:%Y%m%d}-{last:%Y%m%d}", StudyInstanceUID="", **asked))
        for row in rows:  # read whole: what is retrieved in between may take hours, and an archive's patience
            if uid := _uid(row, "StudyInstanceUID"):
                yield Found(uid, _number(row, "NumberOfStudyRelatedSeries"), _number(row, "NumberOfStudyRelatedInstances"))

    def counted(self, study: Found) -> Found:
        below = list(self.instances(study.uid))
        return replace(study, series=len(below), instances=sum(len(instances) for _, instances in below))

    def instances(self, study: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        rows = list(self._found("SERIES", StudyInstanceUID=study, SeriesInstanceUID="", Modality=""))
        modalities = {uid: str(row.get("Modality") or "") for row in rows if (uid := _uid(row, "SeriesInstanceUID"))}
        for uid, modality in modalities.items():
            asked = {"SOPInstanceUID": "", "SOPClassUID": ""}
            rows = list(self._found("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=uid, **asked))
            stated = frozenset(filter(None, (_uid(row, "SOPClassUID") for row in rows)))
            self._classes[uid] = stated or BY_MODALITY.get(modality, UNKNOWN)
            yield uid, tuple(dict.fromkeys(filter(None, (_uid(row, "SOPInstanceUID") for row in rows))))

    def retrieve(self, study: str, series: str, instances: tuple[str, ...]) -> list[Taken] | None:
        query = _dataset("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=list(instances))
        if self._config.method == "get":
            return self._got(query, self._classes.get(series, frozenset()))
        well = [self._went_well(answer) for answer, _ in self._session.move(query, self._config.move_to)]  # all are heard
        return None if all(well) else []

    def _got(self, query: Dataset, classes: frozenset[str]) -> list[Taken]:
        taken: list[Taken] = []
        for answer, _ in self._session.get(query, classes, taken.append, self._config.max_instance_bytes):
            self._went_well(answer)
        return taken

    def _went_well(self, answer: Dataset) -> bool:
        """A retrieve's answer. One study that a PACS cannot give holds up no other; a broken association ends the look."""
        status = int(answer.get("Status", -1))
        failed = int(answer.get("NumberOfFailedSuboperations") or 0)
        if status in (*PENDING, 0x0000) and not failed:
            return True
        if status == UNKNOWN_DESTINATION:
            raise SourceDenied(f"the PACS does not know the AE title {self._config.move_to} that move_to names")
        if status == BROKEN:
            raise SourceUnavailable("the PACS broke off a retrieve")
        log.warning("the PACS ends a retrieve with status %04X%s, %d failed", status, _meaning(status), failed)
        return False

    def _found(self, level: str, **keys: Any) -> Iterator[Dataset]:
        for count, (answer, row) in enumerate(self._session.find(_dataset(level, **keys)), 1):
            status = int(answer.get("Status", -1))
            if status in PENDING and row is not None:
                if count > MAX_ANSWERS:
                    raise SourceUnavailable(f"the PACS answers a query with more than {MAX_ANSWERS} rows")
                yield row
            elif status != 0x0000:
                said = "breaks the query off" if status == BROKEN else f"ends the query with status {status:04X}{_meaning(status)}"
                raise SourceUnavailable(f"the PACS {said}")


_MEANINGS = {
    0xA700: ": out of resources",
    0xA701: ": out of resources",
    0xA702: ": out of resources",
    0xA900: ": the query does not match its class",
    0xB000: ": some instances failed",
    0xFE00: ": cancelled",
}


def _meaning(status: int) -> str:
    return _MEANINGS.get(status, "")


def _dataset(level: str, **keys: Any) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def _uid(row: Dataset, keyword: str) -> str:
    value = str(row.get(keyword) or "")
    return value if UID.fullmatch(value) else ""


def _number(row: Dataset, keyword: str) -> int:
    value = row.get(keyword)
    text = str(next(iter(value), "") if isinstance(value, MultiValue) else value if value is not None else "")
    return int(text) if text.isascii() and text.isdigit() else -1
