"""One record and what was made of it → Provenance: from which source, by which mapper and which maps.

https://hl7.org/fhir/R4/provenance.html. One a record, under an id that the record alone decides; it says the same whenever the
record is done again, unless another mapper or another map made the resources. `Provenance.patient` is R5's, by its cross-version
extension: it puts the Provenance into the compartment of the patient whom its targets are about, so that who sees those sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

from hub.clock import instant
from hub.fhir_json import load
from hub.ingest.journal import Entry
from hub.search.extract import PROVENANCE_PATIENT
from hub.security.labels import security_of
from hub.store.compartments import labels_of_compartment, patient_in
from hub.store.port import Key, Resource, Version
from mappers.base import Mapped
from mappers.identity_keys import local_system, organization_id, resource_id

AGENT_TYPE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
MAPPER = "urn:hub:mapper"  # identifier of the agent: hl7v2/1+3f2a9c1b04de
ASSEMBLER = {"coding": [{"system": AGENT_TYPE, "code": "assembler"}]}
AUTHOR = {"coding": [{"system": AGENT_TYPE, "code": "author"}]}
TRANSFORM = {"coding": [{"system": LIFECYCLE, "code": "transform"}]}


def provenance_key(entry: Entry) -> Key:
    """The same record done again has the same one."""
    return Key("Provenance", resource_id("Provenance", entry.record.source, entry.record.key or "-", entry.sha256, str(entry.seq)))


def provenance_of(entry: Entry, mapped: Mapped, targets: Sequence[Key], patient: str, mapper: str, now: int) -> Resource:
    record = entry.record
    occurred = mapped.changed_at or record.changed_at or record.received_at
    name, _, version = mapper.partition("/")
    version, _, maps = version.partition("+")
    organization = {"reference": f"Organization/{organization_id(record.facility)}"} if record.facility else {}
    stated: Resource = {
        "resourceType": "Provenance",
        "target": [{"reference": f"{key.type}/{key.id}"} for key in targets],
        "occurredDateTime": occurred.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "recorded": instant(now),
        "activity": TRANSFORM,
        "agent": [
            {
                "type": ASSEMBLER,
                "who": {"identifier": {"system": MAPPER, "value": mapper}, "display": f"mapper {name} {version}, maps {maps}"},
            },
            *([{"type": AUTHOR, "who": organization}] if organization else []),
        ],
        "entity": [
            {
                "role": "source",
                "what": {
                    "identifier": {"system": local_system(record.source, "record"), "value": record.key or entry.sha256},
                    "display": f"{record.kind} record {entry.seq} of {record.source}",
                },
            }
        ],
    }
    if patient:
        stated["extension"] = [{"url": PROVENANCE_PATIENT, "valueReference": {"reference": f"Patient/{patient}"}}]
    return stated


def closed_by(versions: Iterable[Version]) -> list[dict[str, str]]:
    """Security labels: whoever may not see one of the targets must not see that there is one."""
    labels = {label for each in versions for label in labels_of_compartment(each.patient).split("+") if label}
    return [security_of(label) for label in sorted(labels)]


def patient_of_all(versions: Iterable[Version], changes: Iterable[Resource]) -> str:
    """The one patient whom all these resources are about; "" for none, or for several that this record does not join."""
    joined = _joined(changes)
    patients = {patient_in(version.patient) for version in versions if version.patient}
    survivors = {joined.get(patient, patient) for patient in patients}
    return survivors.pop() if len(survivors) == 1 else ""


def _joined(changes: Iterable[Resource]) -> Mapping[str, str]:
    """Patients that a merge in this record has replaced → who replaces them."""
    links = ((change["id"], link) for change in changes if change["resourceType"] == "Patient" for link in change.get("link") or ())
    return {
        str(merged): str(link["other"]["reference"]).removeprefix("Patient/")
        for merged, link in links
        if link.get("type") == "replaced-by"
    }


def says_the_same(current: Version | None, stated: Mapping[str, Any]) -> bool:
    """But for when it was recorded."""
    if current is None or current.deleted:
        return False
    before = load(current.body)
    own = {"id", "meta", "recorded"}
    return {n: v for n, v in before.items() if n not in own} == {n: v for n, v in stated.items() if n not in own}
