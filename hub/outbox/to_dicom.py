"""Instances and reports by C-STORE. PS3.4 annex B."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.base import SourceDenied, SourceUnavailable
from connectors.dicom.sender import NO_ANSWER, echo, send
from hub.imaging.access import instance_blobs
from hub.outbox.config import DicomOptions
from hub.outbox.lanes import Consignment, Verdict
from hub.outbox.letters import has_object
from hub.outbox.parcels import PDF, Parcel, attachments_in, content_of
from hub.settings import Destination
from hub.store.blobs import BlobStore
from hub.store.port import ResourceStore
from mappers.dicom.encapsulated_pdf import encapsulated_pdf
from profiles.names import ID_CARD

AT_ONCE = 32  # objects of one association

# PS3.7 annex C, PS3.4 B.2.3: warnings are stored; A7xx lacks resources for now; the rest will not be taken
WARNINGS = (0xB000, 0xB006, 0xB007)
OUT_OF_RESOURCES = range(0xA700, 0xA800)


class DicomSender:
    """An ImagingStudy as the instances it was made of, byte for byte; a report as its PDF."""

    def __init__(self, options: DicomOptions, destination: Destination, store: ResourceStore, blobs: BlobStore) -> None:
        self._options = options
        self._store = store
        self._blobs = blobs
        self._seconds = destination.timeout_seconds

    def check(self) -> None:
        to = self._options
        if status := echo(to.host, to.port, to.calling_ae, called_ae=to.called_ae, timeout=min(10.0, self._seconds)):
            raise SourceDenied(f"{to.called_ae} answers C-ECHO with {status:04X}")

    def send(self, consignment: Consignment, parcel: Parcel) -> Verdict:
        if parcel.withdrawn:
            return Verdict("nothing", "C-STORE takes nothing back")
        if parcel.focus["resourceType"] == "ImagingStudy":
            wanted = dict.fromkeys(blob.sha256 for blob in instance_blobs(parcel.focus))
            missing = [sha256 for sha256 in wanted if not has_object(self._store, consignment.lane, sha256)]
            return self._instances(missing)
        documents = list(self._documents(parcel))
        return self._stored(documents, ()) if documents else Verdict("nothing", "the record has no PDF")

    def _instances(self, blobs: list[str]) -> Verdict:
        if not blobs:
            return Verdict("nothing", "every instance is there")
        done: list[str] = []
        for start in range(0, len(blobs), AT_ONCE):
            piece = blobs[start : start + AT_ONCE]
            verdict = self._stored([self._blobs.open(sha256) for sha256 in piece], piece)
            done += verdict.objects
            if verdict.kind != "acknowledged":
                return Verdict(verdict.kind, verdict.problem, objects=tuple(done))
        return Verdict("acknowledged", objects=tuple(done))

    def _stored(self, objects: Sequence[Any], names: Sequence[str]) -> Verdict:
        to = self._options
        try:
            statuses = send(to.host, to.port, objects, to.calling_ae, called_ae=to.called_ae, timeout=self._seconds)
        except SourceUnavailable as error:
            return Verdict("unreachable", str(error))
        except ValueError:  # pynetdicom: no presentation context was accepted
            return Verdict("refused", "the receiver accepts no presentation context for this object")
        taken = tuple(name for name, status in zip(names, statuses, strict=False) if _taken(status))
        worst = max((_judged(status) for status in statuses), key=lambda verdict: _RANK.index(verdict.kind))
        return Verdict(worst.kind, worst.problem, objects=taken)

    def _documents(self, parcel: Parcel) -> Iterator[Any]:
        report = parcel.focus
        patient = parcel.around.get(str((report.get("subject") or {}).get("reference", "")))
        if patient is None:
            return
        studies = [parcel.around.get(str(each.get("reference", ""))) for each in report.get("imagingStudy", ())]
        study = next((each for each in studies if each), {})
        for place, attachment in enumerate(attachments_in(report)):
            content = content_of(attachment, parcel.documents)
            if content is not None and str(attachment.get("contentType", "")).startswith(PDF):
                yield encapsulated_pdf(
                    report,
                    patient,
                    study,
                    content,
                    place=place,
                    charset=self._options.charset,
                    patient_id=_local_number(parcel, patient),
                )

    def close(self) -> None:
        """Each association is closed when its objects were sent."""


_RANK = ("acknowledged", "refused", "failed", "unreachable")


def _taken(status: int) -> bool:
    return status == 0 or status in WARNINGS


def _judged(status: int) -> Verdict:
    if _taken(status):
        return Verdict("acknowledged")
    if status == NO_ANSWER:
        return Verdict("unreachable", "no answer to C-STORE")
    return Verdict("failed" if status in OUT_OF_RESOURCES else "refused", f"C-STORE status {status:04X}")


def _local_number(parcel: Parcel, patient: Mapping[str, Any]) -> str:
    """The receiver's own number for the person, if it has one; never the ID card's."""
    for each in (*parcel.person, patient):
        for identifier in each.get("identifier", ()):
            if identifier.get("value") and identifier.get("system") != ID_CARD:
                return str(identifier["value"])
    return ""
