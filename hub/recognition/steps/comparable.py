"""Step 7: the same thing was measured in the same way. Each rule is asked only where the catalogue's item says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from hub.recognition.model import Candidate, Step
from hub.recognition.wording import side_of
from hub.search.units import converted, dimension
from profiles.catalogue import Item

Rule = Callable[[Candidate, Item], Step]

BOTH = "B"  # sides
INTERNATIONAL = re.compile(r"\[[iI]U\]")
DIMENSIONLESS = dimension("1")


def _not_asked(rule: str) -> Step:
    return Step(7, rule, "not-applicable", "not-asked")


def _by_code(rule: str, accepted: str) -> Step:
    """The code that the result was found by says it; the result itself does not."""
    return Step(7, rule, "not-applicable", "implied-by-code", {"stated": "", "accepted": accepted})


def _unstated(rule: str, accepted: str) -> Step:
    return Step(7, rule, "fail", f"{rule}-unstated", {"stated": "", "accepted": accepted})


def _compared(rule: str, stated: str, accepted: str, *, same: bool) -> Step:
    params = {"stated": stated, "accepted": accepted}
    return Step(7, rule, "pass" if same else "fail", f"{rule}-{'same' if same else 'differs'}", params)


def specimen(candidate: Candidate, item: Item) -> Step:
    if not item.specimen:
        return _not_asked("specimen")
    accepted = ", ".join(item.specimen)
    if not candidate.specimen:  # the mapped code itself names the specimen: LOINC's system axis
        return _by_code("specimen", accepted)
    return _compared("specimen", candidate.specimen, accepted, same=candidate.specimen in item.specimen)


def method(candidate: Candidate, item: Item) -> Step:
    if not item.same_method:
        return _not_asked("method")
    accepted = ", ".join(item.methods)
    if not candidate.method:
        return _unstated("method", accepted)
    same = candidate.method.strip().casefold() in {method.casefold() for method in item.methods}
    return _compared("method", candidate.method, accepted, same=same)


def unit(candidate: Candidate, item: Item) -> Step:
    if not item.unit:
        return _not_asked("unit")
    params = {"stated": candidate.unit, "accepted": item.unit}
    if not candidate.numeric:
        return Step(7, "unit", "fail", "unit-no-quantity", params)
    if not candidate.unit:
        return _unstated("unit", item.unit)
    if not _same_unit(candidate.unit, item.unit) and _converts(candidate.unit, item.unit):
        return Step(7, "unit", "pass", "unit-converted", params)
    return _compared("unit", candidate.unit, item.unit, same=_same_unit(candidate.unit, item.unit))


def _same_unit(stated: str, accepted: str) -> bool:
    """An enzyme's international unit is U; of a hormone [IU] is another thing, and its item says [IU]."""
    return stated == accepted or INTERNATIONAL.sub("U", stated) == accepted


@lru_cache(maxsize=1024)
def _converts(stated: str, accepted: str) -> bool:
    """By UCUM alone. Not of numbers without a dimension: % and mmol/mol are two scales of one HbA1c, and no multiple."""
    return dimension(accepted) != DIMENSIONLESS and converted(Decimal(1), stated, accepted) is not None


def reference_range(candidate: Candidate, item: Item) -> Step:
    if not item.requires_reference_range:
        return _not_asked("reference-range")
    if candidate.reference_range:
        return Step(7, "reference-range", "pass", "range-stated")
    return Step(7, "reference-range", "fail", "range-missing")


def modality(candidate: Candidate, item: Item) -> Step:
    if not item.modality:
        return _not_asked("modality")
    if candidate.by_code and not candidate.modality:
        return _by_code("modality", ", ".join(item.modality))
    same = bool(set(candidate.modality) & set(item.modality))
    return _compared("modality", ", ".join(candidate.modality), ", ".join(item.modality), same=same)


def body_part(candidate: Candidate, item: Item) -> Step:
    if not item.body_part:
        return _not_asked("body-part")
    if not candidate.body_part:
        return _by_code("body-part", item.body_part[0]) if candidate.by_code else _unstated("body-part", item.body_part[0])
    accepted = {part.casefold() for part in item.body_part}
    same = any(part.casefold() in accepted for part in candidate.body_part)
    return _compared("body-part", ", ".join(candidate.body_part), item.body_part[0], same=same)


def laterality(candidate: Candidate, item: Item) -> Step:
    if not item.laterality:
        return _not_asked("laterality")
    side = side_of(item.laterality)
    if not candidate.laterality:
        return _by_code("laterality", side) if candidate.by_code else _unstated("laterality", side)
    same = side in candidate.laterality or BOTH in candidate.laterality or set(candidate.laterality) >= {"L", "R"}
    return _compared("laterality", ", ".join(candidate.laterality), side, same=same)


def contrast(candidate: Candidate, item: Item) -> Step:
    if not item.contrast:
        return _not_asked("contrast")
    if not candidate.contrast:
        return _by_code("contrast", item.contrast) if candidate.by_code else _unstated("contrast", item.contrast)
    return _compared("contrast", ", ".join(candidate.contrast), item.contrast, same=item.contrast in candidate.contrast)


def series(candidate: Candidate, item: Item) -> Step:
    if item.min_series == 0:
        return _not_asked("series")
    enough = candidate.series >= item.min_series
    params = {"stated": str(candidate.series), "accepted": str(item.min_series)}
    return Step(7, "series", "pass" if enough else "fail", "series-enough" if enough else "series-few", params)


RULES: tuple[Rule, ...] = (specimen, method, unit, reference_range, modality, body_part, laterality, contrast, series)
