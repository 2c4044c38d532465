"""Where a facility lies and how high it stands: areas, community, tier. Facts of county.toml only."""

from __future__ import annotations

from collections.abc import Iterator

from hub.settings import County, Facility

LEVEL = {"none": 0, "community": 1, "county": 2, "prefecture": 3, "province": 4, "agreement": 5, "national": 6}
"""How wide a mark reaches: national ⊃ agreement ⊃ province ⊃ prefecture ⊃ county ⊃ community."""

UPPER_GRADES = ("三级", "二级甲等", "三甲", "三乙", "三丙", "三特", "二甲")
DIGITS = {"county": 6, "prefecture": 4, "province": 2}  # of a division's code
DEEPEST = 8  # steps up the facility tree; a circle in county.toml ends there


def level_of(scope: str) -> int:
    """`province:33` → how wide."""
    return LEVEL[scope.partition(":")[0]]


def _upwards(code: str, county: County) -> Iterator[Facility]:
    """The facility and those that it belongs to, nearest first."""
    facility = county.facility(code)
    for _ in range(DEEPEST):
        if facility is None:
            return
        yield facility
        facility = county.facility(facility.parent) if facility.parent else None


def community_of(code: str, county: County) -> str:
    """A clinic without a community of its own belongs to its parent's, else to the county's; "" for an unknown facility."""
    known = list(_upwards(code, county))
    stated = next((facility.community for facility in known if facility.community), "")
    return stated or (county.community if known else "")


def areas_of(code: str, county: County) -> frozenset[str]:
    """Every area that a facility lies in: stated, its parent's, its community, and the country."""
    areas = {"national"}
    if community := community_of(code, county):
        areas.add(f"community:{community}")
    for facility in _upwards(code, county):
        areas.update(each for area in facility.areas for each in (area, *_around(area)))
    return frozenset(areas)


def _around(area: str) -> Iterator[str]:
    """county:339900 lies in prefecture:3399 and province:33: a division's code begins with those around it (GB/T 2260)."""
    kind, _, code = area.partition(":")
    digits = DIGITS.get(kind)
    if digits == len(code) and code.isdigit():
        yield from (f"{wider}:{code[:length]}" for wider, length in DIGITS.items() if length < len(code))


def same_community(one: str, other: str, county: County) -> bool:
    mine = community_of(one, county)
    return one == other or (bool(mine) and mine == community_of(other, county))


def tier_of(code: str, county: County) -> int:
    """2 from 二级甲等 up, else 1: the two bands within which facilities recognise one another (苏卫医政〔2022〕18号)."""
    facility = county.facility(code)
    return 2 if facility is not None and facility.grade.startswith(UPPER_GRADES) else 1
