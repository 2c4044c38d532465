"""References by canonical URL: `http://a.cn/q|1` is the Questionnaire of that url and version, on whatever server it lies.

A store follows references by type and id. Those by URL lead to definitions, of which a hub has few: they are followed here, by
searches of their own, as the caller may see the other end. https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from hub import fhir_json
from hub.search.compare import is_version_of
from hub.search.expressions import compiled, select
from hub.search.parameters import SearchParameter, registry
from hub.search.query import EVERY, Criterion, Include, ReferenceValue, SearchQuery, UriValue
from hub.search.reading import MAX_INCLUDED
from hub.store.port import Key, SearchPage, Version

BY_URL = frozenset({"canonical", "uri"})
Resource = dict[str, Any]
Search = Callable[[SearchQuery], Sequence[Version]]


@cache
def _types(parameter: SearchParameter) -> frozenset[str]:
    return frozenset(path.type for path in compiled(parameter.expression, parameter.resource_type))


def by_canonical(resource_type: str, code: str) -> bool:
    """The reference parameter `code` leads by URL."""
    parameter = registry().get(resource_type, code)
    return parameter is not None and parameter.type == "reference" and not BY_URL.isdisjoint(_types(parameter))


def by_id(resource_type: str, code: str) -> bool:
    """… and by type and id."""
    parameter = registry().get(resource_type, code)
    return parameter is not None and "Reference" in _types(parameter)


def name_of(resource: Resource) -> ReferenceValue | None:
    """url|version, by which others mean it; None for what has no URL."""
    url, version = resource.get("url"), resource.get("version")
    if not isinstance(url, str):
        return None
    return ReferenceValue("", f"{url}|{version}" if isinstance(version, str) else url)


def pointing(code: str, names: Iterable[ReferenceValue]) -> Criterion:
    """That a resource means one of these: in its version, in a part of it (|1 of 1.0.2), or in none."""
    return Criterion(code, "reference", tuple(names), "above")


# -- _include and _revinclude


def with_canonicals(query: SearchQuery, page: SearchPage, search: Search) -> SearchPage:
    """The page, and beside it what its canonical references include."""
    includes = [each for each in query.includes if _codes(each)]
    if not includes:
        return page
    seen = {Key(version.type, version.id) for version in (*page.matches, *page.included)}
    found: list[Version] = []

    def fresh(includes: Sequence[Include], level: Sequence[Version]) -> list[Version]:
        brought = {Key(each.type, each.id): each for include in includes for each in _brought(include, level, search)}
        new = [version for key, version in brought.items() if key not in seen]
        seen.update(brought)
        found.extend(new)
        return new

    level = [*fresh(includes, page.matches), *page.included]
    again = [include for include in includes if include.iterate]
    while again and level and len(found) <= MAX_INCLUDED:
        level = fresh(again, level)
    included = (*page.included, *found)
    return replace(
        page,
        included=included[:MAX_INCLUDED],
        truncated_includes=page.truncated_includes or len(included) > MAX_INCLUDED,
    )


def _codes(include: Include) -> tuple[str, ...]:
    """Its parameters that lead by URL. What refers here by any parameter of any type is looked for by id alone."""
    if include.source_type == EVERY:
        return ()
    codes = registry().of(include.source_type) if include.code == EVERY else (include.code,)
    return tuple(code for code in codes if by_canonical(include.source_type, code))


def _brought(include: Include, level: Sequence[Version], search: Search) -> Iterator[Version]:
    start = [version for version in level if version.type == include.source_type or include.reverse]
    resources = [fhir_json.load(version.body) for version in start]
    if resources:
        yield from _meaning(include, resources, search) if include.reverse else _meant(include, resources, search)


def _meaning(include: Include, resources: Sequence[Resource], search: Search) -> Iterator[Version]:
    """What refers to the resources."""
    for code in _codes(include):
        parameter = registry().of(include.source_type)[code]
        wanted = [each for each in resources if include.target_type in ("", EVERY, each["resourceType"])]
        names = [name for each in wanted if each["resourceType"] in parameter.target and (name := name_of(each))]
        if names:
            yield from search(SearchQuery(include.source_type, (pointing(code, names),), count=MAX_INCLUDED + 1))


def _meant(include: Include, resources: Sequence[Resource], search: Search) -> Iterator[Version]:
    """What the resources refer to: of each type that may be meant, those of the URLs, then by their versions."""
    for code in _codes(include):
        parameter = registry().of(include.source_type)[code]
        stated = dict.fromkeys(name for each in resources for name in _stated(parameter, each))
        urls = tuple(dict.fromkeys(UriValue(name.partition("|")[0]) for name in stated))
        for target in parameter.target if stated else ():
            if include.target_type in ("", EVERY, target) and registry().get(target, "url") is not None:
                query = SearchQuery(target, (Criterion("url", "uri", urls),), count=MAX_INCLUDED + 1)
                yield from (version for version in search(query) if _is_one(version, stated))


def _stated(parameter: SearchParameter, resource: Resource) -> Iterator[str]:
    """The canonical URLs of one parameter, as they are written."""
    for value, data_type, _ in select(compiled(parameter.expression, parameter.resource_type), resource, resource):
        if data_type in BY_URL and isinstance(value, str):
            yield value


def _is_one(version: Version, stated: Iterable[str]) -> bool:
    name = name_of(fhir_json.load(version.body))
    return name is not None and any(is_version_of(name.id, each) for each in stated)
