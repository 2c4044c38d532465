"""`next` links: the same query, a position and a signature that only its caller can use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

from hub.api.call import Call
from hub.api.parameters import pairs_of
from hub.errors import Invalid
from hub.security.links import POSITION, SIGNATURE

MAX_COUNT = 1000
Pairs = list[tuple[str, str]]


def query_pairs(call: Call) -> Pairs:
    """What was asked; a page link keeps `_format` too, so that a client may follow it as it is. Raise Invalid: no UTF-8."""
    asked: bytes = call.request.scope["query_string"]
    if b"%" in asked:
        pairs_of(asked.decode("latin-1"))
    return [(name, value) for name, value in call.request.query_params.multi_items() if name not in (POSITION, SIGNATURE)]


async def operation_pairs(call: Call) -> Pairs:
    """Of an operation: those of the address and, by POST, of the Parameters sent. Raise Invalid.

    https://hl7.org/fhir/R4/operations.html#request
    """
    pairs = query_pairs(call)
    if call.request.method != "POST" or "content-type" not in call.request.headers:
        return pairs
    sent = await call.resource()
    if sent["resourceType"] != "Parameters":
        raise Invalid("the operation takes Parameters", expression=("resourceType",))
    return [*pairs, *_stated(sent)]


def _stated(parameters: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for number, part in enumerate(parameters.get("parameter", ())):
        values = [value for name, value in part.items() if name.startswith("value")]
        value = _simple(values[0]) if values else None
        if value is None or isinstance(value, list):
            raise Invalid(
                "each parameter has one primitive value, a reference or an identifier",
                expression=(f"Parameters.parameter[{number}]",),
            )
        yield part["name"], str(value).lower() if isinstance(value, bool) else str(value)


def _simple(value: Any) -> Any:
    """Of a Reference its target, of an Identifier the token that finds it."""
    if not isinstance(value, dict):
        return value
    if value.get("value") is not None and "reference" not in value:
        return f"{value['system']}|{value['value']}" if value.get("system") else str(value["value"])
    return value.get("reference")


def page_link(call: Call, path: str, pairs: Iterable[tuple[str, str]], position: str = "") -> str:
    """The address of this query, at `position` if one is given."""
    query = urlencode(list(pairs))
    if position:
        sealed, signature = call.hub.links.seal(call.access, f"{path}?{query}", position)
        query = urlencode([*pairs, (POSITION, sealed), (SIGNATURE, signature)])
    return f"{call.base}/{path}{'?' if query else ''}{query}"


def position_of(call: Call, path: str, pairs: Iterable[tuple[str, str]]) -> str | None:
    """Where a page link says to go on; None for a first page. Raise BadLink for one that was altered or is another's."""
    stated = call.request.query_params
    if POSITION not in stated:
        return None
    return call.hub.links.unseal(call.access, f"{path}?{urlencode(list(pairs))}", stated[POSITION], stated.get(SIGNATURE, ""))


def count_of(text: str | None, default: int) -> int:
    """_count, at most MAX_COUNT. Raise Invalid for what is no number."""
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise Invalid("_count is a number that is not negative", expression=("_count",))
    return min(int(text), MAX_COUNT)
