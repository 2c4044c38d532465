"""ValueSet.compose → Expansion: includes united, excludes taken away, imported value sets followed.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hub.errors import Invalid, Kind
from hub.terminology.concepts import CodeSystem
from hub.terminology.expansion import Expansion, Listed, Part, PartKey, common, united, without
from hub.terminology.filters import Numbers, passing

MAX_IMPORTS = 16  # value sets within value sets
MAX_RULES = 2_000  # includes, excludes and their filters
Resource = dict[str, Any]
FindCodeSystem = Callable[[str, str], CodeSystem | None]
FindValueSet = Callable[[str, tuple[str, ...]], Expansion | None]
ChooseVersion = Callable[[str, str], str]
SUPPLEMENT = "http://hl7.org/fhir/StructureDefinition/valueset-supplement"


class Composer:
    """`code_system` and `value_set` find a definition by canonical URL and version; None for what is not loaded.

    `version` says which version of a code system is taken where a rule states one or none (""). `hurry` is called before each rule,
    and raises TooCostly when all of it takes too long.
    """

    def __init__(
        self, code_system: FindCodeSystem, value_set: FindValueSet, version: ChooseVersion, hurry: Callable[[], None]
    ) -> None:
        self._code_system = code_system
        self._value_set = value_set
        self._version = version
        self._hurry = hurry

    def expansion(self, resource: Resource, within: tuple[str, ...] = ()) -> Expansion:
        """`within`: URLs of the value sets that import this one."""
        url = str(resource.get("url", ""))
        if len(within) > MAX_IMPORTS:
            raise Invalid(f"value sets import one another more than {MAX_IMPORTS} deep", kind=Kind.TOO_COSTLY)
        rules = _Rules(self._code_system, self._finding(resource), self._version, self._hurry, (*within, url))
        compose = resource.get("compose")
        found = rules.composed(compose) if isinstance(compose, dict) else stored(resource)
        if (rules.missing or rules.missing_sets) and resource.get("expansion", {}).get("contains"):
            found, rules.missing, rules.missing_sets = stored(resource), {}, {}
        for canonical in _supplements(resource):
            if not any(canonical in _supplementing(part) for part in found.values()):
                rules.missing_sets[canonical] = None
        active_only = isinstance(compose, dict) and compose.get("inactive") is False
        if active_only:
            found = {key: active(part) for key, part in found.items()}
        sources = tuple(dict.fromkeys((*rules.sources, *(_canonical(part) for part in found.values()))))
        return Expansion(
            url,
            str(resource.get("version", "")),
            found,
            tuple(rules.missing),
            tuple(rules.missing_sets),
            tuple(rules.partial),
            active_only,
            sources,
            resource,
        )

    def _finding(self, resource: Resource) -> FindValueSet:
        """`#id` is a value set contained in the one that names it."""
        contained = {
            f"#{each.get('id')}": each for each in resource.get("contained") or () if each.get("resourceType") == "ValueSet"
        }

        def find(url: str, within: tuple[str, ...]) -> Expansion | None:
            if url not in contained:
                return self._value_set(url, within)
            if url in within:
                raise Invalid("the value set imports itself", kind=Kind.PROCESSING)
            inner = {**contained[url], "contained": list(contained.values()), "url": url}
            return self.expansion(inner, within)

        return find


class _Rules:
    def __init__(
        self,
        code_system: FindCodeSystem,
        value_set: FindValueSet,
        version: ChooseVersion,
        hurry: Callable[[], None],
        within: tuple[str, ...],
    ) -> None:
        self._code_system = code_system
        self._value_set = value_set
        self._version = version
        self._hurry = hurry
        self._within = within
        self.missing: dict[str, None] = {}
        self.missing_sets: dict[str, None] = {}
        self.partial: dict[str, None] = {}
        self.sources: list[str] = []

    def composed(self, compose: Resource) -> dict[PartKey, Part]:
        includes, excludes = compose.get("include") or [], compose.get("exclude") or []
        if sum(1 + len(rule.get("filter") or ()) for rule in (*includes, *excludes)) > MAX_RULES:
            raise Invalid(f"a value set has at most {MAX_RULES} rules", kind=Kind.TOO_COSTLY)
        found = united(part for rule in includes for part in self._chosen(rule))
        gone = united(part for rule in excludes for part in self._chosen(rule))
        return {key: without(part, gone) for key, part in found.items()} if gone else found

    def _chosen(self, rule: Resource) -> Iterator[Part]:
        """What a rule chooses from its system, and of that what all its value sets contain; without a system what they all do."""
        imported = [self._imported(str(url)) for url in rule.get("valueSet") or ()]
        own = {("", ""): self._from_system(rule)} if "system" in rule else None
        first = own or (imported.pop(0) if imported else {})
        for part in first.values():
            for other in imported:
                part = common(part, other)  # noqa: PLW2901  narrowed by one value set after the other
            yield part

    def _from_system(self, rule: Resource) -> Part:
        url, _, pinned = str(rule["system"]).partition("|")
        version = self._version(url, pinned or str(rule.get("version", "")))
        system = self._code_system(url, version)
        if rule.get("concept"):
            return _listed(rule["concept"], Part(url, version, system, {}))
        if system is None or system.content == "not-present":
            self.missing[url] = None
            return Part(url, version, None, {})
        if not system.complete:
            self.partial[url] = None
        filters = rule.get("filter") or ()
        if not filters:
            return Part(url, version, system, system.number)
        chosen = [self._passing(system, each) for each in filters]
        first = min(chosen, key=len)
        numbers = [n for n in sorted(first) if all(n in other for other in chosen)]
        return Part(url, version, system, {system.codes[n]: None for n in numbers})

    def _passing(self, system: CodeSystem, rule: Resource) -> Numbers:
        self._hurry()
        return passing(system, str(rule.get("property")), str(rule.get("op")), str(rule.get("value", "")))

    def _imported(self, url: str) -> Mapping[PartKey, Part]:
        expansion = self._value_set(url, self._within)
        if expansion is None:
            self.missing_sets[url] = None
            return {}
        self.missing.update(dict.fromkeys(expansion.missing))
        self.missing_sets.update(dict.fromkeys(expansion.missing_sets))
        self.partial.update(dict.fromkeys(expansion.partial))
        self.sources += expansion.sources
        return expansion.parts


def _listed(concepts: list[Resource], part: Part) -> Part:
    """The codes that a value set lists; of a code system that is all here, those that it has."""
    system = part.code_system
    codes: dict[str, None] = {}
    for concept in concepts:
        code = str(concept.get("code", ""))
        number = system.find(code) if system is not None else None
        if system is not None and number is not None:
            code = system.codes[number]
        elif system is not None and system.complete:
            continue
        codes[code] = None
        if len(concept) > 1:
            part.listed[code] = _said(concept)
    return Part(part.system, part.version, system, codes, part.listed)


def _supplements(resource: Resource) -> Iterator[str]:
    """Canonicals of those that the value set may not be used without."""
    for extension in resource.get("extension") or ():
        if extension.get("url") == SUPPLEMENT:
            yield str(extension.get("valueCanonical", ""))


def _supplementing(part: Part) -> tuple[str, ...]:
    known = part.code_system.supplements if part.code_system is not None else ()
    return (*known, *(canonical.partition("|")[0] for canonical in known))


def _said(concept: Resource) -> Listed:
    return Listed(str(concept.get("display", "")), tuple(concept.get("designation") or ()))


def _canonical(part: Part) -> str:
    version = part.version or (part.code_system.version if part.code_system is not None else "")
    return f"{part.system}|{version}" if version else part.system


def active(part: Part) -> Part:
    """Without the codes that are no longer in use."""
    system = part.code_system
    if system is None or not system.inactive:
        return part
    codes = {code: None for code in part.codes if system.find(code) not in system.inactive}
    return Part(part.system, part.version, system, codes, part.listed)


def stored(resource: Resource) -> dict[PartKey, Part]:
    """The expansion that came with the resource, for one without rules or with rules that cannot be followed here."""
    parts: dict[PartKey, Part] = {}
    open_ = list(reversed((resource.get("expansion") or {}).get("contains") or ()))
    while open_:
        entry = open_.pop()
        open_ += reversed(entry.get("contains") or ())
        if "code" not in entry or entry.get("abstract"):
            continue
        key = (str(entry.get("system", "")), str(entry.get("version", "")))
        part = parts.setdefault(key, Part(*key, None, {}))
        assert isinstance(part.codes, dict)  # noqa: S101  made one line above
        part.codes[str(entry["code"])] = None
        part.listed[str(entry["code"])] = _said(entry)
    return parts
