"""Facts that a county may replace: recognition catalogues, quality evidence and ConceptMaps, read from versioned JSON.

A name is looked for beside `county.toml` first (`recognition/catalogues/NAME.json`, `concept_maps/NAME.json`) and then in
`profiles/cn`: a county states its own local notice without touching the code. A wrong file names itself and the place in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hub.errors import Invalid

SHIPPED = Path(__file__).parent / "cn"

Translation = tuple[Mapping[str, str], ...]
ConceptMaps = Mapping[tuple[str, str], Translation]
"""(source system, code) → codings {system, code, display}."""


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(Table):
    system: str = Field(min_length=1)
    code: str = Field(min_length=1)


class Item(Table):
    """One item of a recognition catalogue: what makes an outside result of it count here."""

    code: str = Field(min_length=1)
    display: str
    display_en: str = ""
    category: Literal["lab", "imaging", "ecg"]
    match: tuple[Match, ...] = Field(min_length=1)
    validity_days: Mapping[str, int]  # by context; 0: never in that context
    clock_from: Literal["collected", "performed", "issued"]
    min_mark: Literal["none", "community", "county", "prefecture", "province", "agreement", "national"]
    lower_tier_source: Literal["must", "suggest", "ignore"]
    requires_eqa: Literal["in-date-when-performed", "no"]  # "no" holds inside the community only
    requires_images: bool = False
    requires_reference_range: bool = False
    price: int = Field(ge=0)  # fen
    excluded_contexts: tuple[str, ...] = ()
    specimen: tuple[str, ...] = ()
    unit: str = ""  # UCUM; "" where the value is not a quantity
    same_method: bool = False
    methods: tuple[str, ...] = ()  # accepted methods when same_method
    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    laterality: str = ""
    contrast: str = ""  # "with" | "without" | "" for either
    min_series: int = 0

    @model_validator(mode="after")
    def complete(self) -> Item:
        if self.category != "lab" and not self.modality:
            raise ValueError("an imaging or ECG item states its modality")
        if self.same_method and not self.methods:
            raise ValueError("same_method needs the accepted methods")
        if any(days < 0 for days in self.validity_days.values()):
            raise ValueError("validity_days cannot be negative")
        return self

    def name(self, language: str) -> str:
        return self.display_en if language.startswith("en") and self.display_en else self.display


AREA = r"(national|(community|county|prefecture|province|agreement):.+)"


class CatalogueHead(Table):
    id: str = Field(min_length=1)
    version: str = Field(min_length=1)
    scope: str
    region: str = Field(default="", pattern=rf"^{AREA}?$")  # the area whose orderers go by it; "": all that have no nearer one
    published: date
    title: str = ""
    title_en: str = ""
    note: str = ""
    contexts: tuple[str, ...] = ("outpatient", "inpatient", "preoperative", "emergency", "forensic", "disability", "transfusion")
    window_counts: Literal["calendar-days", "hours"] = "calendar-days"  # of the county; or 24 hours each, to the minute
    mark_areas: Mapping[str, str] = Field(default_factory=dict)  # what a mark says (全国) → the area it means (national)


class Catalogue(Table):
    catalogue: CatalogueHead
    items: tuple[Item, ...]

    @model_validator(mode="after")
    def consistent(self) -> Catalogue:
        codes = [item.code for item in self.items]
        if len(codes) != len(set(codes)):
            raise ValueError(f"item {next(c for c in codes if codes.count(c) > 1)} is stated twice")
        for item in self.items:
            unknown = (set(item.validity_days) | set(item.excluded_contexts)) - set(self.catalogue.contexts)
            if unknown:
                raise ValueError(f"item {item.code}: context {min(unknown)} is not in catalogue.contexts")
        return self

    @cached_property
    def _by_code(self) -> Mapping[str, Item]:
        return {item.code: item for item in self.items}

    @cached_property
    def _by_match(self) -> Mapping[tuple[str, str], Item]:
        """The first item stated for a code."""
        return {(match.system, match.code): item for item in reversed(self.items) for match in item.match}

    def item(self, code: str) -> Item | None:
        return self._by_code.get(code)

    def matching(self, system: str, code: str) -> Item | None:
        return self._by_match.get((system, code))


class EvidenceRow(Table):
    """One laboratory's quality evaluation (室间质评) of one item in one round."""

    organization: str
    item: str
    scope: str = Field(pattern=rf"^{AREA}$")
    scheme: str
    round: str
    passed: bool
    valid_from: date
    valid_to: date  # the last day on which it holds

    @model_validator(mode="after")
    def ordered(self) -> EvidenceRow:
        if self.valid_to < self.valid_from:
            raise ValueError("valid_to lies before valid_from")
        return self


class EvidenceHead(Table):
    id: str = Field(min_length=1)
    version: str = Field(min_length=1)
    published: date
    note: str = ""


class Evidence(Table):
    evidence: EvidenceHead
    rows: tuple[EvidenceRow, ...]

    @cached_property
    def _by_item(self) -> Mapping[tuple[str, str], tuple[EvidenceRow, ...]]:
        found: dict[tuple[str, str], list[EvidenceRow]] = {}
        for row in self.rows:
            found.setdefault((row.organization, row.item), []).append(row)
        return {key: tuple(rows) for key, rows in found.items()}

    def of(self, organization: str, item: str) -> tuple[EvidenceRow, ...]:
        return self._by_item.get((organization, item), ())


Loaded = TypeVar("Loaded", Catalogue, Evidence)


def load_catalogue(name: str, beside: Path | None = None) -> Catalogue:
    """The recognition catalogue `name`; `beside` is the folder of county.toml. Raise Invalid naming the file and the place."""
    return _validated(Catalogue, _find("recognition/catalogues", name, beside))


def load_evidence(name: str, beside: Path | None = None) -> Evidence:
    return _validated(Evidence, _find("recognition/evidence", name, beside))


def load_concept_maps(names: Iterable[str] | None = None, beside: Path | None = None) -> dict[tuple[str, str], Translation]:
    """Translations of the named ConceptMaps (a file or a folder each); None: every one beside county.toml and shipped.

    Targets with equivalence `unmatched` or `disjoint` translate to nothing.
    """
    found: dict[tuple[str, str], tuple[Mapping[str, str], ...]] = {}
    for path in _concept_map_files(names, beside):
        for key, coding in _translations(path):
            if coding not in found.get(key, ()):
                found[key] = (*found.get(key, ()), coding)
    return found


def concept_map_documents(beside: Path | None = None) -> Iterator[dict[str, Any]]:
    """Every ConceptMap beside county.toml and shipped, as it stands; one that cannot be read is passed over."""
    for path in _concept_map_files(None, beside):
        with suppress(Invalid):
            yield _json(path)


def translations(document: Mapping[str, Any], name: str = "ConceptMap") -> Iterator[tuple[tuple[str, str], dict[str, str]]]:
    """(source system, code) → coding, of one ConceptMap. Raise Invalid naming it if a group is not whole."""
    if document.get("resourceType") != "ConceptMap":
        raise Invalid(f"{name}: not a ConceptMap")
    try:
        for group in document.get("group", ()):
            for element in group["element"]:
                for target in element.get("target", ()):
                    if target.get("equivalence") in ("unmatched", "disjoint"):
                        continue
                    coding = {"system": group["target"], "code": target["code"]}
                    if target.get("display"):
                        coding["display"] = target["display"]
                    yield (group["source"], element["code"]), coding
    except (KeyError, TypeError, AttributeError) as error:
        raise Invalid(f"{name}: a ConceptMap group needs source, target and element.code ({error})") from None


@lru_cache(maxsize=64)
def load_code_system(name: str) -> Mapping[str, str]:
    """Code → display of a CodeSystem shipped in profiles/cn/code_systems, codes below others included."""
    return dict(_concepts(_json(SHIPPED / "code_systems" / f"{name}.json")))


def _concepts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for concept in document.get("concept", ()):
        yield concept["code"], concept["display"]
        yield from _concepts(concept)


def _find(folder: str, name: str, beside: Path | None) -> Path:
    roots = [root for root in (beside, SHIPPED) if root is not None]
    candidates = [root / folder / f"{name}.json" for root in roots]
    if beside is not None and name.endswith(".json"):
        candidates.insert(0, beside / name)
    for path in candidates:
        if path.is_file():
            return path
    raise Invalid(f"{name}: not found; looked for {' and '.join(map(str, candidates))}")


def _concept_map_files(names: Iterable[str] | None, beside: Path | None) -> Iterator[Path]:
    if names is None:
        roots = [root for root in (SHIPPED, beside) if root is not None]
        files = {path.name: path for root in roots for path in sorted((root / "concept_maps").glob("*.json"))}
        yield from files.values()  # a county's own takes the place of the shipped one of that name
        return
    for name in names:
        folder = beside / name if beside is not None else None
        if folder is not None and folder.is_dir():
            yield from sorted(folder.glob("*.json"))
        else:
            yield _find("concept_maps", name, beside)


def _translations(path: Path) -> Iterator[tuple[tuple[str, str], dict[str, str]]]:
    yield from translations(_json(path), str(path))


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise Invalid(f"{path}: no such file") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Invalid(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise Invalid(f"{path}: not a JSON object")
    return document


def _validated(model: type[Loaded], path: Path) -> Loaded:
    try:
        return model.model_validate(_json(path))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Invalid(f"{path}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from None
