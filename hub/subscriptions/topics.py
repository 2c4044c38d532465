"""The topics that the hub offers, read from profiles/cn/topics: each a SubscriptionTopic in R5's form.

https://hl7.org/fhir/R5/subscriptiontopic.html; the R4 backport carries them by their canonical URL alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

import msgspec

from hub.subscriptions.outbox import Change


class QueryCriteria(msgspec.Struct, frozen=True, rename="camel"):
    """What holds before and after the change. Without `previous` whatever was before will do."""

    previous: str = ""
    current: str = ""
    result_for_create: Literal["test-passes", "test-fails"] = "test-passes"  # of `previous`, where there was nothing
    result_for_delete: Literal["test-passes", "test-fails"] = "test-passes"  # of `current`, where nothing is left
    require_both: bool = True


class ResourceTrigger(msgspec.Struct, frozen=True, rename="camel"):
    resource: str
    supported_interaction: tuple[Change, ...] = ("create", "update", "delete")
    query_criteria: QueryCriteria = QueryCriteria()
    fhir_path_criteria: str = msgspec.field(default="", name="fhirPathCriteria")  # of the resource as it is after the change
    description: str = ""


class CanFilterBy(msgspec.Struct, frozen=True, rename="camel"):
    filter_parameter: str
    resource: str = ""
    description: str = ""


class Topic(msgspec.Struct, frozen=True, rename="camel"):
    url: str
    title: str
    description: str
    resource_trigger: tuple[ResourceTrigger, ...]
    can_filter_by: tuple[CanFilterBy, ...] = ()
    id: str = ""
    version: str = ""
    status: str = "active"
    resource_type: str = msgspec.field(default="SubscriptionTopic", name="resourceType")

    def may_filter_by(self, resource: str, parameter: str) -> bool:
        return any(each.filter_parameter == parameter and each.resource in ("", resource) for each in self.can_filter_by)


@cache
def topics() -> Mapping[str, Topic]:
    """By canonical URL."""
    folder = files("profiles.cn") / "topics"
    found = [msgspec.json.decode(each.read_bytes(), type=Topic) for each in folder.iterdir() if each.name.endswith(".json")]
    return MappingProxyType({topic.url: topic for topic in sorted(found, key=lambda topic: topic.url)})
