"""One ImagingStudy out of many statements: each DICOM instance states its own study, series and itself.

The result depends on what was stated, never on the order or the number of times: uniting is commutative, associative and
idempotent. So late instances, repeats and a replay from the beginning end in the same study.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from mappers.base import Resource

Element = dict[str, Any]
Key = Callable[[Element], str]


def unite_studies(current: Resource | None, stated: Resource) -> Resource:
    """`current` (None: nothing yet) with what `stated` adds. Neither is changed; `meta` is the current one's."""
    united = _unite(current or {}, stated, _STUDY_LISTS)
    series = [_ordered(one | {"numberOfInstances": len(one.get("instance", ()))}) for one in united.get("series", ())]
    modalities = {_canonical(one["modality"]): one["modality"] for one in series if "modality" in one}
    united |= {"numberOfSeries": len(series), "numberOfInstances": sum(one["numberOfInstances"] for one in series)}
    if series:
        united["series"] = series
    if modalities:
        united["modality"] = [modalities[key] for key in sorted(modalities)]
    return _ordered(united)


def _ordered(element: Element) -> Element:
    """Members in the specification's order: the same content is the same bytes, and makes no new version."""
    return {name: element[name] for name in sorted(element, key=_place)}


_canonical: Callable[[Any], str] = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode
"""A value as text that equal values share. One encoder: `json.dumps` makes a new one for each value."""


def _uid(element: Element) -> str:
    return str(element.get("uid", ""))


# Lists whose members are told apart, and by what; a nested table says how two of the same key are united
_INSTANCE_LISTS: dict[str, tuple[Key, dict[str, Any]]] = {"extension": (_canonical, {})}
_SERIES_LISTS: dict[str, tuple[Key, dict[str, Any]]] = {
    "instance": (_uid, _INSTANCE_LISTS),
    "performer": (_canonical, {}),
    "extension": (_canonical, {}),
}
_STUDY_LISTS: dict[str, tuple[Key, dict[str, Any]]] = {
    "series": (_uid, _SERIES_LISTS),
    "identifier": (_canonical, {}),
    "basedOn": (_canonical, {}),
    "extension": (_canonical, {}),
    "modality": (_canonical, {}),
    "procedureCode": (_canonical, {}),
    "note": (_canonical, {}),
    "endpoint": (_canonical, {}),
}


def _unite(left: Element, right: Element, lists: dict[str, Any]) -> Element:
    united: Element = {}
    for name in {*left, *right}:
        if name in ("numberOfSeries", "numberOfInstances"):
            continue  # counted at the end
        if name == "meta":
            united[name] = left.get("meta") or right["meta"]
        elif name in lists:
            key, nested = lists[name]
            united[name] = _unite_list(left.get(name, ()), right.get(name, ()), key, nested)
        else:
            united[name] = _settle(left.get(name), right.get(name))
    return _ordered(united)


def _unite_list(left: Iterable[Element], right: Iterable[Element], key: Key, nested: dict[str, Any]) -> list[Element]:
    """What only `left` has is taken as it is: a study of a thousand slices grows by one without being rebuilt."""
    by_key = {key(member): member for member in left}
    for member in right:
        name = key(member)
        by_key[name] = _unite(by_key.get(name, {}), member, nested)
    return sorted(by_key.values(), key=lambda member: (*_number(member), key(member)))


def _number(member: Element) -> tuple[int, int]:
    """Series and instances read in the order of their numbers; those without one come last."""
    number = member.get("number")
    return (0, number) if isinstance(number, int) else (1, 0)


def _settle(left: Any, right: Any) -> Any:
    """Two statements of one thing: the fuller one, and between equals the one that sorts last."""
    if left is None or right is None:
        return right if left is None else left
    if isinstance(left, str) and left == right:  # nearly all that two instances say of their study
        return left
    return max(left, right, key=lambda value: (len(text := _canonical(value)), text))


# How an ImagingStudy is written in the specification; extensions of unknown names go to the end
_WRITTEN = (
    "resourceType", "id", "meta", "extension", "uid", "identifier", "status", "number", "modality", "description", "subject",
    "started", "basedOn", "referrer", "numberOfSeries", "numberOfInstances", "endpoint", "bodySite", "laterality", "performer",
    "sopClass", "title", "series", "instance",
)  # fmt: skip
_ORDER = {name: place for place, name in enumerate(_WRITTEN)}


def _place(name: str) -> tuple[int, str]:
    return (_ORDER.get(name, len(_ORDER)), name)
