"""Many statements about one resource become one state that does not depend on the order in which they arrived.

Every statement has a stamp (rank, source time, status, digest of the record it came from). Each top-level element keeps the stamp
of its last statement, and a statement wins an element only with a higher one: a last-writer-wins map, which is commutative,
associative and idempotent. `Patient.link` is a set of that kind, so two merges of one survivor stand side by side. Elements that
several messages state in parts are one register a part: identifiers by system, doctors by role, the start and the end of a visit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from mappers.base import Resource
from profiles.names import ID_CARD

Mode = Literal["replace", "patch", "fill"]
Stamps = Mapping[str, str]

WHOLE = "*"  # the stamp of the last statement of the whole resource
NOT_STATED = frozenset({"resourceType", "id", "meta"})
UNITED = {("Patient", "link")}  # lists whose entries are stated one by one
TAKEN_BACK = "seealso"  # what a link without a type says is no more
UNITED_TYPES = frozenset(kind for kind, _ in UNITED)
PARTED = {  # stated in parts, each a register named element/part
    ("Patient", "identifier"),
    ("Patient", "telecom"),
    ("Patient", "extension"),
    ("Encounter", "identifier"),
    ("Encounter", "participant"),
    ("Encounter", "hospitalization"),
    ("Encounter", "period"),
    ("Encounter", "extension"),
}
NAMES_A_PART = frozenset({"system", "use", "type", "url"})  # an entry of one of these alone says: none of this part
TELECOM_SYSTEMS = frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"})
ID_CARD_FORMS = frozenset({"unchecked-id", "id-15"})  # local systems of what was stated as the ID card's number
FUTURE = timedelta(days=1)  # a source clock further ahead than this is wrong and would win for ever

# A choice element is one element whatever its type is: effectivePeriod takes the place of effectiveDateTime.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "AllergyIntolerance": ("onset",),
    "Condition": ("abatement", "onset"),
    "DiagnosticReport": ("effective",),
    "Immunization": ("occurrence",),
    "Media": ("created",),
    "MedicationAdministration": ("effective", "medication"),
    "MedicationDispense": ("medication", "statusReason"),
    "MedicationRequest": ("medication", "reported"),
    "MedicationStatement": ("effective", "medication"),
    "Observation": ("effective", "value"),
    "Patient": ("deceased", "multipleBirth"),
    "Procedure": ("performed",),
    "ServiceRequest": ("asNeeded", "occurrence", "quantity"),
    "Specimen": (),
}
# Of two statements of the same second the further one is the later one: preliminary, then final, then corrected.
PROGRESS = {
    "registered": 1, "unknown": 1, "planned": 1, "draft": 1,
    "partial": 2, "preliminary": 2, "arrived": 2, "active": 2,
    "in-progress": 3,
    "final": 4, "completed": 4, "finished": 4,
    "amended": 5, "appended": 5,
    "corrected": 6, "revoked": 6, "cancelled": 6, "stopped": 6,
    "entered-in-error": 7,
}  # fmt: skip


class Settled(NamedTuple):
    resource: Resource
    stamps: dict[str, str]
    changed: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """When the source said it, and the record's own digest: what orders two statements of the same moment."""

    time: datetime
    digest: str

    @classmethod
    def of(cls, changed_at: datetime | None, received_at: datetime, content_sha256: str) -> Origin:
        time = changed_at or received_at
        return cls(min(time, received_at + FUTURE).astimezone(UTC), content_sha256[:16])

    def stamp(self, mode: Mode, resource: Resource) -> str:
        """Sorts as text. The digest is the record's, not the mapping's: a mapper that was mended wins over its own former word."""
        rank = "0" if mode == "fill" else "1"
        progress = PROGRESS.get(str(resource.get("status", "")), 0) if mode == "replace" else 0
        return f"{rank}|{_text(self.time)}|{progress}|{self.digest}"


@lru_cache(maxsize=256)
def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def settle(current: Resource | None, stamps: Stamps, stated: Resource, mode: Mode, origin: Origin) -> Settled:
    """`current` with what `stated` wins of it. `changed` is False when nothing was won and nothing differs."""
    kind, stamp = str(stated["resourceType"]), origin.stamp(mode, stated)
    if current is None and not stamps and mode == "replace" and kind not in UNITED_TYPES:
        return Settled(_first(stated), {WHOLE: stamp}, True)  # most of what a laboratory sends
    before = _elements(current or {}, kind)
    after, marks = dict(before), dict(stamps)
    statement = _elements(stated, kind)
    if mode == "replace":
        _replace(kind, after, marks, statement, stamp)
    else:
        for name, members in statement.items():
            _state(kind, after, marks, name, members, stamp)
    resource = _resource(stated, current, after)
    return Settled(resource, marks, after != before or current is None)


def _first(stated: Resource) -> Resource:
    """As `_resource` would order it."""
    head = {name: stated[name] for name in ("resourceType", "id", "meta") if stated.get(name)}
    rest = sorted((name.removeprefix("_"), name) for name, value in stated.items() if name not in NOT_STATED and value is not None)
    return {**head, **{name: stated[name] for _, name in rest}}


def deletion_stamp(stamps: Stamps, origin: Origin) -> dict[str, str] | None:
    """The stamps of a resource that its source deleted; None where something was stated of it since."""
    stamp = origin.stamp("replace", {})
    return {WHOLE: stamp} if all(_wins(stamp, other) for other in stamps.values()) else None


def union_stamp(stamps: Stamps, origin: Origin) -> dict[str, str]:
    """For parts of a whole that a function of their own unites: only remember the newest."""
    stamp = origin.stamp("patch", {})
    return {**stamps, WHOLE: max(stamps.get(WHOLE, ""), stamp)}


Members = dict[str, Any]  # one element or part of one: itself, its `_` companion, or the type that a choice has


def _elements(resource: Resource, kind: str) -> dict[str, Members]:
    elements: dict[str, Members] = {}
    for member, value in resource.items():
        if (kind, member) in PARTED and value is not None:
            elements |= {f"{member}/{part}": {member: piece} for part, piece in _parts(value).items()}
        elif member not in NOT_STATED:
            elements.setdefault(_element_name(kind, member), {})[member] = value
    return elements


def _parts(value: dict[str, Any] | list[dict[str, Any]]) -> dict[str, Any]:
    """Each part in the element's own form, so that joining is adding up; None where a part is stated to be gone."""
    if isinstance(value, dict):
        return {name: None if stated is None else {name: stated} for name, stated in value.items()}
    parts: dict[str, Any] = {}
    for entry in value:
        part = parts.setdefault(_part_of(entry), [])
        part += [] if len(entry) == 1 and NAMES_A_PART.issuperset(entry) else [entry]
    return {name: part or None for name, part in parts.items()}


def _part_of(entry: Mapping[str, Any]) -> str:
    """Which part of its list an entry belongs to: an identifier's system, a doctor's role, an extension's url, work or not."""
    if "url" in entry:
        return str(entry["url"])
    if isinstance(entry.get("type"), list):
        return str(next((coding.get("code") for role in entry["type"] for coding in role.get("coding", ())), ""))
    if "system" in entry and not TELECOM_SYSTEMS.intersection((entry["system"],)):
        return _register(str(entry["system"]))
    return "work" if entry.get("use") == "work" else ""


def _register(system: str) -> str:
    """A number that failed its check takes the place of the one that was stated before it, and the other way round."""
    return ID_CARD if system.startswith("urn:hub:") and system.rpartition(":")[2] in ID_CARD_FORMS else system


def _joined(elements: dict[str, Members]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, element in sorted(elements.items()):
        for member, value in element.items():
            if "/" not in name or member not in members:
                members[member] = value
            else:
                members[member] = {**members[member], **value} if isinstance(value, dict) else [*members[member], *value]
    return members


def _element_name(kind: str, member: str) -> str:
    name = member.removeprefix("_")
    for stem in CHOICES.get(kind, ()):
        if name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper():
            return stem
    return name


def _wins(stamp: str, other: str) -> bool:
    """Equal records state again what they stated (a replay); otherwise the higher stamp."""
    if not other:
        return True
    mine, its = stamp.split("|"), other.split("|")
    same_record = mine[1] == its[1] and mine[3] == its[3]
    return mine[0] >= its[0] if same_record else stamp > other


def _state(kind: str, after: dict[str, Members], marks: dict[str, str], name: str, members: Members, stamp: str) -> None:
    if (kind, name) in UNITED:
        _unite(after, marks, name, members, stamp)
        return
    if not _wins(stamp, _standing(marks, name)):
        return
    if (kind, name) in PARTED:
        _clear_parts(after, marks, name, stamp)
    marks[name] = stamp
    kept = {member: value for member, value in members.items() if value is not None}
    if kept:
        after[name] = kept
    else:
        after.pop(name, None)  # deleted, and stamped so: an older value does not come back


def _standing(marks: Stamps, name: str) -> str:
    """The stamp to beat: of the part or element, of the element as a whole, of the resource as a whole."""
    return max(marks.get(name, ""), marks.get(name.partition("/")[0], ""), marks.get(WHOLE, ""))


def _clear_parts(after: dict[str, Members], marks: dict[str, str], name: str, stamp: str) -> None:
    for part in [part for part in {*after, *marks} if part.startswith(f"{name}/") and _wins(stamp, marks.get(part, ""))]:
        after.pop(part, None)
        marks.pop(part, None)


def _replace(kind: str, after: dict[str, Members], marks: dict[str, str], statement: dict[str, Members], stamp: str) -> None:
    former = dict(marks)
    united = {name for its_kind, name in UNITED if its_kind == kind}  # cleared even if nobody has stated one yet
    entries = tuple(f"{name}:" for name in united)
    for name in {*after, *statement, *united, *(mark for mark in marks if mark != WHOLE and not mark.startswith(entries))}:
        if (kind, name) in UNITED:
            _unite(after, marks, name, {name: None}, stamp)
            _unite(after, marks, name, statement.get(name, {}), stamp)
        elif _wins(stamp, _standing(former, name)):
            marks.pop(name, None)
            after.pop(name, None)
            if kept := {member: value for member, value in statement.get(name, {}).items() if value is not None}:
                after[name] = kept
    if _wins(stamp, former.get(WHOLE, "")):
        marks[WHOLE] = stamp


def _unite(after: dict[str, Members], marks: dict[str, str], name: str, members: Members, stamp: str) -> None:
    """A last-writer-wins set: an entry is there when it was stated at or after the last clearing (an element of None).

    A link without a type takes back that the two Patients are linked as records of one person (`seealso`).
    """
    entries = {_entry_mark(name, entry): entry for entry in after.get(name, {}).get(name, ())}
    stated = members.get(name, ())
    if stated is None:
        if _wins(stamp, marks.get(name, "")):
            marks[name] = stamp
    else:
        for entry in stated:
            mark = _entry_mark(name, entry)
            if _wins(stamp, marks.get(mark, "")):
                marks[mark] = stamp
                entries[mark] = entry
    cleared = marks.get(name, "")
    kept = [entry for mark, entry in sorted(entries.items()) if marks.get(mark, "") >= cleared and "type" in entry]
    if kept:
        after[name] = {name: kept}
    else:
        after.pop(name, None)


def _entry_mark(name: str, entry: Mapping[str, Any]) -> str:
    other = str((entry.get("other") or {}).get("reference", ""))
    digest = hashlib.sha256(f"{other}\x1f{entry.get('type', TAKEN_BACK)}".encode()).hexdigest()[:16]
    return f"{name}:{digest}"


def _resource(stated: Resource, current: Resource | None, elements: dict[str, Members]) -> Resource:
    """Elements in one order, so that equal states are equal bytes."""
    meta = {**(stated.get("meta") or {}), **((current or {}).get("meta") or {})}
    members = dict(sorted(_joined(elements).items(), key=lambda item: (item[0].removeprefix("_"), item[0])))
    head: Resource = {"resourceType": stated["resourceType"], "id": stated["id"]}
    return {**head, **({"meta": meta} if meta else {}), **members}
