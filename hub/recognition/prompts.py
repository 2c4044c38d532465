"""A prompt and what the doctor decided on it, as one Task. https://hl7.org/fhir/R4/task.html

One prompt is one item for one person within one visit: asked again it is the same Task, so that nobody is counted, or disturbed,
twice. It is `requested` until the doctor decides; what is never decided stays so and counts as unanswered.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hub.clock import instant
from hub.recognition.model import Answer
from hub.recognition.reasons import SYSTEM as REASON_SYSTEM
from hub.recognition.reasons import reasons
from mappers.identity_keys import local_system, organization_id
from profiles.names import FACILITY_TAG, HUB_TAG

CODE = "recognition-decision"
ITEM_SYSTEM = "urn:hub:catalogue:item"
DECISION_SYSTEM = "urn:hub:recognition-decision"
VISIT_SYSTEM = "urn:hub:visit"
UUID_SYSTEM = "urn:ietf:rfc:3986"
NAMESPACE = uuid.UUID("6f1a1f0e-6a0b-5a53-9d0c-0e6a3e5b7c11")

Decision = Literal["recognised", "refused"]
Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a Task of ours says, read back. Amounts in fen."""

    task: Mapping[str, Any]

    @property
    def uuid(self) -> str:
        values = (str(each.get("value", "")) for each in self.task.get("identifier", ()) if each.get("system") == UUID_SYSTEM)
        return next(values, "").removeprefix("urn:uuid:")

    @property
    def patient(self) -> str:
        return str(self.task["for"]["reference"]).removeprefix("Patient/")

    @property
    def decision(self) -> str:
        """recognised | refused; "" while it is open."""
        return str(self._value("output", "decision", {}).get("coding", [{}])[0].get("code", ""))

    @property
    def reason(self) -> str:
        return str(self._value("output", "reason", {}).get("coding", [{}])[0].get("code", ""))

    @property
    def reason_text(self) -> str:
        return str(self._value("output", "reason", {}).get("text", ""))

    @property
    def saved(self) -> int:
        return int(self._value("output", "saved-fen", 0))

    @property
    def price(self) -> int:
        return int(self._value("input", "price-fen", 0))

    @property
    def item(self) -> str:
        return str(self._value("input", "item", {}).get("code", ""))

    @property
    def context(self) -> str:
        return str(self._value("input", "context", ""))

    @property
    def result(self) -> str:
        """Type/id of the result that was offered."""
        return str(self._value("input", "result", {}).get("reference", ""))

    @property
    def source(self) -> str:
        """Organization/id of the facility whose result was offered."""
        return str(self._value("input", "source", {}).get("reference", ""))

    @property
    def lapse(self) -> str:
        """Why it does not count any more, a key of messages.DETAILS; "" while it does."""
        return str(self.task.get("businessStatus", {}).get("text", ""))

    @property
    def orderer(self) -> str:
        return str(self._value("input", "orderer", ""))

    def _value(self, part: str, name: str, default: Any) -> Any:
        for each in self.task.get(part, ()):
            if each["type"].get("text") == name:
                return next((value for key, value in each.items() if key.startswith("value")), default)
        return default


def prompt_uuid(orderer: str, person: str, visit: str, item: str) -> str:
    """The same question within the same visit is the same prompt."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join((orderer, person, visit, item))))


def task_id(orderer: str, uuid: str) -> str:
    """Begins with the facility, as `policy.facility_ids` may ask."""
    return f"{orderer[:27]}-{uuid}"


def prompt_task(answer: Answer, *, uuid: str, patient: str, visit: str, order: str, doctor: str, now: int) -> Resource:
    """The open Task of a prompt. `patient`: id of the Patient for whom was asked; `now` in UTC ms."""
    item, best = answer.item, answer.best
    assert item is not None  # noqa: S101  only what maps to an item is prompted
    assert best is not None  # noqa: S101
    when = instant(now)
    task: Resource = {
        "resourceType": "Task",
        "id": task_id(answer.orderer, uuid),
        "meta": {"tag": [{"system": FACILITY_TAG, "code": answer.orderer}]},
        "identifier": [{"system": UUID_SYSTEM, "value": f"urn:uuid:{uuid}"}],
        "groupIdentifier": {"system": VISIT_SYSTEM, "value": visit},
        "status": "requested",
        "intent": "proposal",
        "code": {"coding": [{"system": HUB_TAG, "code": CODE}]},
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": when,
        "lastModified": when,
        "requester": {"reference": f"Organization/{organization_id(answer.orderer)}"},
        "input": [
            _typed("item", "valueCoding", {"system": ITEM_SYSTEM, "code": item.code, "display": item.display}),
            _typed("orderer", "valueCode", answer.orderer),
            _typed("context", "valueCode", answer.context),
            _typed("catalogue", "valueString", f"{answer.catalogue_id}|{answer.catalogue_version}"),
            _typed("price-fen", "valueInteger", item.price),
            _typed("result", "valueReference", {"reference": best.candidate.reference}),
            _typed("source", "valueReference", {"reference": f"Organization/{organization_id(best.candidate.facility)}"}),
            *([_typed("report", "valueReference", {"reference": best.candidate.report})] if best.candidate.report else []),
        ],
    }
    if order:
        task["focus"] = {"type": "ServiceRequest", "identifier": {"system": local_system(answer.orderer, "order"), "value": order}}
    if doctor:
        task["owner"] = owner_of(answer.orderer, doctor)
    return task


def owner_of(facility: str, doctor: str) -> Resource:
    """`PractitionerRole/7` or `Practitioner/7` of the orderer's own system, or a plain number."""
    kind, _, number = doctor.rpartition("/")
    role = {"type": kind} if kind in ("Practitioner", "PractitionerRole") else {}
    return {**role, "identifier": {"system": local_system(facility, "practitioner"), "value": number}}


def decided(task: Resource, decision: Decision, *, reason: str, text: str, saved: int, doctor: str, now: int) -> Resource:
    """The Task with the doctor's decision; a later one takes the place of an earlier. `reason` of a refusal, `saved` in fen."""
    output = [_typed("decision", "valueCodeableConcept", {"coding": [{"system": DECISION_SYSTEM, "code": decision}]})]
    output += [*_reason(reason, text), _typed("saved-fen", "valueInteger", saved)]
    owner = {"owner": owner_of(Prompt(task).orderer, doctor)} if doctor else {}
    return {**task, **owner, "status": "completed", "lastModified": instant(now), "output": output}


def _reason(code: str, text: str) -> Iterator[Resource]:
    if code:
        concept: Resource = {"coding": [{"system": REASON_SYSTEM, "code": code, "display": reasons("zh")[code]}]}
        yield _typed("reason", "valueCodeableConcept", {**concept, **({"text": text} if text else {})})


def lapsed(task: Resource, why: str, now: int) -> Resource:
    """An open prompt whose result does not count any more says so. `why`: a key of messages.DETAILS."""
    status = {"coding": [{"system": DECISION_SYSTEM, "code": "lapsed"}], "text": why}
    return {**task, "businessStatus": status, "lastModified": instant(now)}


def counts_again(task: Resource, now: int) -> Resource:
    """A prompt that had lapsed is open as before."""
    return {**{key: value for key, value in task.items() if key != "businessStatus"}, "lastModified": instant(now)}


def _typed(name: str, key: str, value: object) -> Resource:
    return {"type": {"text": name}, key: value}
