"""Criteria of a subscription, `Observation?code=…` or those of a topic → what a changed resource is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from hub.errors import HubError, Invalid
from hub.search.parse import parse_search
from hub.search.query import AllOf, AnyOf, Chain, Condition, Criterion, Has, Not, ReferenceValue, leaves
from hub.search.resolve import needed
from hub.subscriptions.outbox import Change, Registration
from hub.subscriptions.topics import QueryCriteria, Topic, topics

MOST_CRITERIA = 20
CRITERIA, FILTERS = ("Subscription.criteria",), ("Subscription.criteria.extension",)
UNWATCHED = frozenset({"AuditEvent", "Subscription"})  # what the hub writes because of a delivery must cause none


ANYTHING = QueryCriteria()
BEFORE_OR_AFTER = QueryCriteria(result_for_create="test-fails", result_for_delete="test-fails", require_both=False)


@dataclass(frozen=True, slots=True)
class Trigger:
    """One way in which a change of a resource of `type` counts."""

    type: str
    changes: frozenset[Change]
    current: tuple[Condition, ...] | None = None  # both decided by the resource alone
    previous: tuple[Condition, ...] | None = None
    logic: QueryCriteria = ANYTHING
    path: str = ""  # FHIRPath that must hold as well
    filters: tuple[Condition, ...] = ()  # what the subscriber asks; value sets and Lists as they are named


@dataclass(frozen=True, slots=True)
class Parts:
    """Conditions by what it takes to decide them."""

    local: tuple[Condition, ...]  # the resource alone
    personal: tuple[Condition, ...]  # and who is whom: a Patient stands for the person
    distant: tuple[Condition, ...]  # and other resources

    @classmethod
    def of(cls, conditions: Iterable[Condition]) -> Parts:
        parts: tuple[list[Condition], list[Condition], list[Condition]] = ([], [], [])
        for condition in conditions:
            parts[2 if _distant(condition) else 1 if _personal(condition) else 0].append(condition)
        return cls(*map(tuple, parts))


def triggers_of(registration: Registration, now: int) -> tuple[Trigger, ...]:
    """Raise Invalid for criteria that say nothing the hub can decide."""
    if registration.channel == "destination":
        return tuple(_standing(*conditions_of(text, now)) for text in registration.filters)
    if not registration.topic:
        kind, conditions = conditions_of(registration.criteria, now)
        return (Trigger(kind, frozenset({"create", "update"}), filters=conditions),)
    topic = topics().get(registration.topic)
    if topic is None:
        raise Invalid("this topic is not offered: metadata lists those that are", expression=CRITERIA)
    filters = _filters(topic, registration.filters, now)
    return tuple(replace(each, filters=filters.get(each.type, ())) for each in _of_topic(topic, now))


def _standing(kind: str, conditions: tuple[Condition, ...]) -> Trigger:
    """Whoever got a record hears of every change that follows, also of the one by which it no longer fulfils the criteria."""
    alone = tuple(each for each in conditions if not (_distant(each) or _personal(each) or needed(kind, each)))
    others = tuple(each for each in conditions if each not in alone)
    return Trigger(kind, frozenset({"create", "update", "delete"}), alone, alone, BEFORE_OR_AFTER, filters=others)


def conditions_of(criteria: str, now: int, kind: str = "") -> tuple[str, tuple[Condition, ...]]:
    """`Type?name=value&…` → the type and its conditions; with `kind` the part before ? may be missing."""
    stated, mark, query = criteria.strip().rpartition("?") if kind else criteria.strip().partition("?")
    kind = stated or (kind if mark or kind else query)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MOST_CRITERIA)
    except ValueError:
        raise Invalid("the criteria are not well-formed, or too many", expression=CRITERIA) from None
    if kind in UNWATCHED:
        raise Invalid(f"{kind} cannot be subscribed to", expression=CRITERIA)
    try:
        parsed = parse_search(kind, pairs, now=now).query
    except HubError as error:
        error.expression = CRITERIA
        raise
    if parsed.sort or parsed.includes:
        raise Invalid("the criteria of a subscription hold nothing but criteria", expression=CRITERIA)
    return kind, parsed.criteria


def _of_topic(topic: Topic, now: int) -> Iterable[Trigger]:
    for each in topic.resource_trigger:
        logic = each.query_criteria
        current = conditions_of(logic.current, now)[1] if logic.current else None
        previous = conditions_of(logic.previous, now)[1] if logic.previous else None
        yield Trigger(each.resource, frozenset(each.supported_interaction), current, previous, logic, each.fhir_path_criteria)


def _filters(topic: Topic, stated: Iterable[str], now: int) -> Mapping[str, tuple[Condition, ...]]:
    """By resource type. Each is one query; all of them must hold. Raise Invalid for a parameter that the topic does not take."""
    found: dict[str, tuple[Condition, ...]] = {}
    only = topic.resource_trigger[0].resource
    for text in stated:
        kind, conditions = conditions_of(text, now, only)
        if kind not in {each.resource for each in topic.resource_trigger}:
            raise Invalid("the topic is not about this type of resource", expression=FILTERS)
        for name, _ in parse_qsl(text.rpartition("?")[2], keep_blank_values=True):
            if not topic.may_filter_by(kind, name.partition(":")[0].partition(".")[0]):
                raise Invalid("the topic cannot be filtered by one of these parameters", expression=FILTERS)
        found[kind] = found.get(kind, ()) + conditions
    return found


def _distant(condition: Condition) -> bool:
    match condition:
        case Chain() | Has():
            return True
        case AllOf(conditions) | AnyOf(conditions):
            return any(map(_distant, conditions))
        case Not(inner):
            return _distant(inner)
        case Criterion():
            return False


def _personal(condition: Condition) -> bool:
    return any(names_patient(criterion) for criterion in leaves(condition))


def names_patient(criterion: Criterion) -> bool:
    """Whether a reference in it may be a Patient's, who is asked for under every id of the person."""
    return (
        criterion.type == "reference"
        and criterion.code != "link"
        and any(isinstance(value, ReferenceValue) and value.type in ("", "Patient") for value in criterion.values)
    )
