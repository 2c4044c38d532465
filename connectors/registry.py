"""Which connectors there are, read from their manifests, and how a channel of county.toml becomes one.

A connector is a folder here with a manifest.toml: its name, its kind (polling or listener), the classes of its configuration and
of itself. Nothing else lists them.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import import_module, resources
from typing import Any, Protocol, cast

from pydantic import BaseModel, ValidationError

from connectors.base import Intake, Listening, Polling
from connectors.http import Outward, nowhere


class UnknownChannel(ValueError):
    """A channel that cannot be built: names the channel and the option that is wrong, never a secret's value."""


class Channel(Protocol):
    """What of a channel in county.toml a connector needs."""

    @property
    def name(self) -> str: ...
    @property
    def connector(self) -> str: ...
    @property
    def facility(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def charset(self) -> str: ...
    @property
    def options(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Manifest:
    name: str
    listens: bool
    config: str  # module:class
    connector: str
    produces: tuple[str, ...]
    title: str = ""


@cache
def manifests() -> Mapping[str, Manifest]:
    found: dict[str, Manifest] = {}
    for folder in resources.files("connectors").iterdir():
        file = folder.joinpath("manifest.toml")
        if folder.is_dir() and file.is_file():
            manifest = _manifest(tomllib.loads(file.read_text("utf-8")))
            found[manifest.name] = manifest
    return dict(sorted(found.items()))


def _manifest(values: dict[str, Any]) -> Manifest:
    return Manifest(
        name=values["name"],
        listens=str(values["kind"]).startswith("listen"),
        config=values["config"],
        connector=values["connector"],
        produces=tuple(values.get("produces", ())),
        title=values.get("title", ""),
    )


def build(
    channel: Channel,
    intake: Intake,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    outward: Outward = nowhere,
) -> Listening | Polling:
    """The channel's connector, its options checked; `outward` makes the port by which it calls by HTTP.

    Raise UnknownChannel saying what to correct.
    """
    manifest = manifests().get(channel.connector)
    if manifest is None:
        raise UnknownChannel(f"channel {channel.name}: no connector {channel.connector!r}; there are {', '.join(manifests())}")
    config = _config(channel, manifest)
    offered = {
        "intake": intake,
        "source": channel.name,
        "facility": channel.facility,
        "hints": {name: value for name, value in (("zone", channel.zone), ("charset", channel.charset)) if value},
        "clock": clock,
        "outward": outward,
    }
    factory = _load(manifest.connector)
    taken = inspect.signature(factory).parameters
    connector = factory(config, **{name: value for name, value in offered.items() if name in taken})
    return cast("Listening | Polling", connector)


def config_model(manifest: Manifest) -> type[BaseModel]:
    """The model that checks the options of the connector's channels."""
    return cast("type[BaseModel]", _load(manifest.config))


def config_of(channel: Channel) -> BaseModel:
    """The channel's options, checked. Raise UnknownChannel saying what to correct."""
    return _config(channel, manifests()[channel.connector])


def listens(channel: Channel) -> bool:
    return manifests()[channel.connector].listens


def every(channel: Channel) -> float:
    """Seconds between two looks of a connector that polls."""
    return float(getattr(_config(channel, manifests()[channel.connector]), "every", 10))


def _config(channel: Channel, manifest: Manifest) -> BaseModel:
    model = config_model(manifest)
    try:
        return model.model_validate(channel.options)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        option = ".".join(map(str, first["loc"])) or "options"
        unknown = first["type"] == "extra_forbidden" and len(first["loc"]) == 1
        says = f"no such option; there are {', '.join(model.model_fields)}" if unknown else first["msg"]
        raise UnknownChannel(f"channel {channel.name}: {option}: {says}") from None


def _load(name: str) -> Callable[..., object]:
    module, _, attribute = name.partition(":")
    return cast("Callable[..., object]", getattr(import_module(module), attribute))
