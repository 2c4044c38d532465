"""A source's code that nothing maps → what it probably means, with a score and the reason: a proposal, never a decision.

Candidates are the targets of every ConceptMap at hand (shipped, beside county.toml, confirmed here) and of `profiles/cn/synonyms`.
A local item named 血清钾 is proposed what another hospital's 钾 was mapped to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hub.search.folding import fold, reading_of
from hub.store.port import UnmappedCode
from profiles.catalogue import SHIPPED, concept_map_documents

SYNONYMS = SHIPPED / "synonyms"
MOST = 5
LOWEST = 0.45  # below it a proposal costs more reading than it saves
ALIKE, ALIKE_IF_SHORT, SHORT = 0.6, 0.8, 3  # of three characters two are soon the same
NO_MATCH = frozenset({"unmatched", "disjoint"})


class Suggestion(NamedTuple):
    system: str
    code: str
    display: str
    score: float  # 0 … 1
    why: str  # of WHY


WHY = {
    "same-code-and-name": "another map translates the same code with the same name",
    "same-name": "the same name, spaces, width and case aside",
    "core-name": "the same name without words such as 测定 or 血清",
    "synonym": "a known name or abbreviation of it",
    "pinyin": "the code is the initials of its name, or the names sound alike",
    "same-code": "another source uses the same code for it",
    "similar-name": "much of the name is the same",
}

_NOISE = re.compile(r"[\s()\[\]{}*★▲△●·.,，。、:：/_+\-#%'\"]+")
_SIDE_WORDS = re.compile(r"测定|检测|检查|定量|定性|试验|浓度|水平|血清|血浆|全血|静脉血|\(.*?\)|\[.*?\]")


@dataclass(slots=True)
class Candidate:
    system: str
    code: str
    display: str
    kinds: set[str] = field(default_factory=set)  # item, drug …: the last part of the local systems it was mapped from
    names: set[str] = field(default_factory=set)  # folded
    codes: set[str] = field(default_factory=set)
    synonyms: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)  # (code, name) that some map states


class Suggestions:
    """Of one moment's maps; made anew when they change."""

    def __init__(self, beside: Path | None, more: Iterable[Mapping[str, Any]] = ()) -> None:
        self._candidates: dict[tuple[str, str], Candidate] = {}
        for document in (*concept_map_documents(beside), *more):
            self._take_map(document)
        for document in _synonyms():
            self._take_synonyms(document)

    def of(self, gap: UnmappedCode, most: int = MOST) -> tuple[Suggestion, ...]:
        """The likeliest first."""
        kind = kind_of_system(gap.system)
        asked = _Asked(fold(gap.code), _bare(gap.display), _core(gap.display))
        pool = [each for each in self._candidates.values() if kind in each.kinds]
        found = (self._score(candidate, asked) for candidate in pool)
        good = [suggestion for suggestion in found if suggestion is not None and suggestion.score >= LOWEST]
        return tuple(sorted(good, key=lambda each: (-each.score, each.system, each.code))[:most])

    @staticmethod
    def _score(candidate: Candidate, asked: _Asked) -> Suggestion | None:
        score, why = _best(candidate, asked)
        return Suggestion(candidate.system, candidate.code, candidate.display, round(score, 2), why) if why else None

    def _candidate(self, system: str, code: str, display: str) -> Candidate:
        candidate = self._candidates.setdefault((system, code), Candidate(system, code, display))
        candidate.display = candidate.display or display
        if display:
            candidate.names.add(_bare(display))
        return candidate

    def _take_map(self, document: Mapping[str, Any]) -> None:
        for group in document.get("group") or ():
            kind = kind_of_system(str(group.get("source", "")))
            for element in group.get("element") or ():
                for target in element.get("target") or ():
                    if target.get("equivalence") in NO_MATCH or not target.get("code"):
                        continue
                    candidate = self._candidate(str(group.get("target", "")), str(target["code"]), str(target.get("display", "")))
                    code, name = fold(str(element.get("code", ""))), _bare(str(element.get("display", "")))
                    candidate.kinds.add(kind)
                    candidate.codes.add(code)
                    candidate.pairs.add((code, name))
                    if name:
                        candidate.names.add(name)

    def _take_synonyms(self, document: Mapping[str, Any]) -> None:
        for item in document["items"]:
            candidate = self._candidate(document["system"], item["code"], item["display"])
            candidate.kinds.add(document["kind"])
            candidate.synonyms |= {_bare(name) for name in (*item["codes"], *item["names"])}


class _Asked(NamedTuple):
    code: str
    name: str
    core: str


def _best(candidate: Candidate, asked: _Asked) -> tuple[float, str]:
    """The strongest of the reasons; (0, "") if there is none."""
    code, name, core = asked
    bare = _bare(code)
    if name and (code, name) in candidate.pairs:
        return 0.98, "same-code-and-name"
    if name and name in candidate.names:
        return 0.95, "same-name"
    if name and name in candidate.synonyms:
        return (0.95 if bare in candidate.synonyms else 0.9), "synonym"
    known = candidate.names | candidate.synonyms
    if core and core in {_core(each) for each in known}:
        return 0.85, "core-name"
    if bare in candidate.synonyms and not name:
        return 0.75, "synonym"
    sounds = [reading_of(each) for each in known]
    if core and (reading := reading_of(core)) and any(reading[0] == other[0] for other in sounds if other):
        return 0.7, "pinyin"
    likeness = max((_likeness(core, _core(each)) for each in known), default=0.0) if core else 0.0
    same_code = code in candidate.codes or bare in candidate.synonyms
    if likeness >= (ALIKE if len(core) > SHORT else ALIKE_IF_SHORT):
        return min(0.9, 0.75 * likeness + (0.2 if same_code else 0)), "similar-name"
    if any(len(code) >= 2 and code == other[1] for other in sounds if other):
        return 0.6, "pinyin"
    if same_code and not name:
        return 0.6, "same-code"
    return 0.0, ""


def _likeness(one: str, other: str) -> float:
    if not one or not other:
        return 0.0
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _bare(name: str) -> str:
    return _NOISE.sub("", fold(name))


def _core(name: str) -> str:
    core = _bare(_SIDE_WORDS.sub("", name))
    return core or _bare(name)


def kind_of_system(system: str) -> str:
    """urn:hub:CTY:item → item: what the codes are of."""
    return re.split(r"[:/]", system.rstrip("/"))[-1]


@cache
def _synonyms() -> tuple[Mapping[str, Any], ...]:
    return tuple(_loaded(SYNONYMS))


def _loaded(folder: Path) -> Iterator[Mapping[str, Any]]:
    for path in sorted(folder.glob("*.json")):
        yield json.loads(path.read_text("utf-8"))
