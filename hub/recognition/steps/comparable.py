"""Step 7: the same thing was measured in the same way. Each rule is asked only where the catalogue's item says so."""

from __future__ import annotations

from collections.abc import Callable

from hub.recognition.model import Candidate, Step
from profiles.catalogue import Item

Rule = Callable[[Candidate, Item], Step]


def _not_asked(rule: str) -> Step:
    return Step(7, rule, "not-applicable", "not-asked")


def _compared(rule: str, stated: str, accepted: str, *, same: bool) -> Step:
    params = {"stated": stated, "accepted": accepted}
    return Step(7, rule, "pass" if same else "fail", f"{rule}-{'same' if same else 'differs'}", params)


def specimen(candidate: Candidate, item: Item) -> Step:
    if not item.specimen:
        return _not_asked("specimen")
    accepted = ", ".join(item.specimen)
    if not candidate.specimen:  # the mapped code itself names the specimen: LOINC's system axis
        return Step(7, "specimen", "not-applicable", "specimen-by-code", {"stated": "", "accepted": accepted})
    return _compared("specimen", candidate.specimen, accepted, same=candidate.specimen in item.specimen)


def method(candidate: Candidate, item: Item) -> Step:
    if not item.same_method:
        return _not_asked("method")
    accepted = ", ".join(item.methods)
    if not candidate.method:
        return Step(7, "method", "fail", "method-unstated", {"stated": "", "accepted": accepted})
    return _compared("method", candidate.method, accepted, same=candidate.method in item.methods)


def unit(candidate: Candidate, item: Item) -> Step:
    if not item.unit:
        return _not_asked("unit")
    params = {"stated": candidate.unit, "accepted": item.unit}
    if not candidate.numeric:
        return Step(7, "unit", "fail", "unit-no-quantity", params)
    if not candidate.unit:
        return Step(7, "unit", "fail", "unit-unstated", params)
    return _compared("unit", candidate.unit, item.unit, same=candidate.unit == item.unit)


def reference_range(candidate: Candidate, item: Item) -> Step:
    if not item.requires_reference_range:
        return _not_asked("reference-range")
    if candidate.reference_range:
        return Step(7, "reference-range", "pass", "range-stated")
    return Step(7, "reference-range", "fail", "range-missing")


def modality(candidate: Candidate, item: Item) -> Step:
    if not item.modality:
        return _not_asked("modality")
    same = bool(set(candidate.modality) & set(item.modality))
    return _compared("modality", ", ".join(candidate.modality), ", ".join(item.modality), same=same)


def body_part(candidate: Candidate, item: Item) -> Step:
    if not item.body_part:
        return _not_asked("body-part")
    if not candidate.body_part:
        return Step(7, "body-part", "fail", "body-part-unstated", {"stated": "", "accepted": item.body_part[0]})
    accepted = {part.casefold() for part in item.body_part}
    same = any(part.casefold() in accepted for part in candidate.body_part)
    return _compared("body-part", ", ".join(candidate.body_part), item.body_part[0], same=same)


def laterality(candidate: Candidate, item: Item) -> Step:
    if not item.laterality:
        return _not_asked("laterality")
    return _compared("laterality", candidate.laterality, item.laterality, same=candidate.laterality == item.laterality)


def contrast(candidate: Candidate, item: Item) -> Step:
    if not item.contrast:
        return _not_asked("contrast")
    return _compared("contrast", candidate.contrast, item.contrast, same=candidate.contrast == item.contrast)


def series(candidate: Candidate, item: Item) -> Step:
    if item.min_series == 0:
        return _not_asked("series")
    enough = candidate.series >= item.min_series
    params = {"stated": str(candidate.series), "accepted": str(item.min_series)}
    return Step(7, "series", "pass" if enough else "fail", "series-enough" if enough else "series-few", params)


RULES: tuple[Rule, ...] = (specimen, method, unit, reference_range, modality, body_part, laterality, contrast, series)
