"""DICOMweb pull: studies by date with QIDO-RS, their instances with WADO-RS, each as the archive keeps it.

https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_10.6.html (search) and sect_10.4.html (retrieve)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from connectors.base import SourceUnavailable
from connectors.dicom.pull import Found, Pull, Taken
from connectors.dicomweb.config import DicomWebConfig
from connectors.dicomweb.multipart import BadMultipart, Part, parts
from connectors.http import HttpAnswer, Outward
from connectors.http_client import HttpClient
from mappers.dicom.header import UID

log = logging.getLogger(__name__)

DICOM_JSON = "application/dicom+json"
AS_KEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
LIST_BYTES = 64 << 20
MAX_LIST = 1_000_000  # rows of one question, whatever the archive thinks of paging

STUDY_UID, SERIES_UID, INSTANCE_UID = "0020000D", "0020000E", "00080018"
STUDY_SERIES, STUDY_INSTANCES = "00201206", "00201208"


class DicomWebConnector(Pull):
    """Studies of a DICOMweb server, the oldest study date first."""

    def __init__(
        self,
        config: DicomWebConfig,
        *,
        source: str,
        facility: str,
        hints: Mapping[str, str],
        clock: Callable[[], datetime],
        outward: Outward,
    ) -> None:
        bases = tuple(filter(None, (config.base_url, config.token_url)))
        client = HttpClient(config.base_url, config, outward(bases, config.ca_file), seconds=config.seconds)
        archive = WebArchive(config, client)
        super().__init__(config, archive, source=source, facility=facility, hints=hints, clock=clock)


class WebArchive:
    def __init__(self, config: DicomWebConfig, client: HttpClient) -> None:
        self._config = config
        self._client = client

    def check(self) -> None:
        """It answers, takes us, and searches: each cause has its own words."""
        self._rows("studies", {"limit": "1"})

    def close(self) -> None:
        """Each call is a connection of its own."""

    def studies(self, first: date, last: date) -> Iterator[Found]:
        fields = ",".join((STUDY_SERIES, STUDY_INSTANCES))
        rows = self._paged("studies", {"StudyDate": f"{first:%Y%m%d}-{last:%Y%m%d}", "includefield": fields}, STUDY_UID)
        return (Found(uid, _number(row, STUDY_SERIES), _number(row, STUDY_INSTANCES)) for uid, row in rows)

    def counted(self, study: Found) -> Found:
        below = list(self.instances(study.uid))
        return replace(study, series=len(below), instances=sum(len(instances) for _, instances in below))

    def instances(self, study: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        for series, _ in self._paged(f"studies/{study}/series", {}, SERIES_UID):
            found = self._paged(f"studies/{study}/series/{series}/instances", {}, INSTANCE_UID)
            yield series, tuple(uid for uid, _ in found)

    def retrieve(self, study: str, series: str, instances: tuple[str, ...]) -> list[Taken] | None:
        taken = (self._tried(f"studies/{study}/series/{series}/instances/{uid}", uid) for uid in instances)
        return [one for one in taken if one is not None]

    def _tried(self, path: str, uid: str) -> Taken | None:
        """One file that the archive cannot give holds up no other: it is down only if it answers no search either."""
        try:
            return self._instance(path, uid)
        except SourceUnavailable as reason:
            self.check()
            log.warning("an instance could not be retrieved: %s", reason)
            return None

    def _instance(self, path: str, uid: str) -> Taken | None:
        """None where it is gone since it was listed, or comes as something else: the study is then asked for again."""
        answer = self._ask(path, AS_KEPT, self._config.max_instance_bytes)
        if answer.status in (404, 410):
            return None
        if answer.status in (400, 406):  # an archive that knows no wildcard gives what it likes to
            answer = self._ask(path, 'multipart/related; type="application/dicom"', self._config.max_instance_bytes)
        if answer.status != 200:
            raise SourceUnavailable(f"the archive answers a retrieve with HTTP {answer.status}")
        part = _dicom(answer)
        hints = {"transfer_syntax": part.transfer_syntax} if part.transfer_syntax else {}
        return Taken(uid, part.content, hints) if part.content[128:132] == b"DICM" else None

    def _paged(self, path: str, asked: Mapping[str, str], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """UID and row, each UID once: an archive that knows no offset repeats its first page, and that is the end."""
        seen: set[str] = set()
        for offset in range(0, MAX_LIST, self._config.page):
            rows = self._rows(path, {**asked, "limit": str(self._config.page), "offset": str(offset)})
            fresh = [(uid, row) for row in rows if UID.fullmatch(uid := _text(row, name)) and uid not in seen]
            yield from fresh
            seen.update(uid for uid, _ in fresh)
            if len(rows) < self._config.page or not fresh:
                return

    def _rows(self, path: str, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        answer = self._ask(f"{path}?{urlencode(asked)}", DICOM_JSON, LIST_BYTES)
        if answer.status in (204, 404):
            return []
        if answer.status != 200:
            raise SourceUnavailable(f"the archive answers a search with HTTP {answer.status}")
        try:
            rows = msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, RecursionError):
            raise SourceUnavailable("the archive answers a search with what is no JSON: is base_url its DICOMweb root?") from None
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def _ask(self, path: str, accept: str, limit: int) -> HttpAnswer:
        def ask() -> HttpAnswer:
            return self._client.ask("GET", path, limit=limit, headers={"accept": accept})

        return self._client.patiently(ask)


def _dicom(answer: HttpAnswer) -> Part:
    try:
        found = next(iter(parts(answer.headers.get("content-type", ""), answer.body)), None)
    except BadMultipart as reason:
        raise SourceUnavailable(f"the archive's answer breaks off: {reason}") from None
    return found or Part("", "", b"")


def _values(row: Mapping[str, Any], name: str) -> list[Any]:
    element = row.get(name)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _text(row: Mapping[str, Any], name: str) -> str:
    return str(next(iter(_values(row, name)), ""))


def _number(row: Mapping[str, Any], name: str) -> int:
    """-1 where the archive does not count. Some write numbers as text."""
    text = _text(row, name)
    return int(text) if text.isascii() and text.isdigit() else -1
