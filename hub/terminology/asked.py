"""What a terminology operation was asked: from the address, or from a Parameters resource. https://hl7.org/fhir/R4/parameters.html"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hub.api.call import Call
from hub.api.paging import query_pairs
from hub.errors import Invalid, Kind
from hub.terminology.document import value_of

MAX_PARAMETERS = 200
PLAIN = frozenset({"_format", "_pretty", "_summary", "_elements"})
Coding = tuple[str, str, str, str]
"""system, version, code, display; "" for what is not stated."""


class Asked:
    def __init__(self, values: dict[str, list[Any]]) -> None:
        self._values = values

    @classmethod
    async def of(cls, call: Call, known: Iterable[str], unsupported: Iterable[str] = ()) -> Asked:
        """Raise Invalid for a parameter that the operation does not have, unless the client is lenient."""
        pairs: list[tuple[str, Any]] = [pair for pair in query_pairs(call) if pair[0] not in PLAIN]
        if call.request.method == "POST":
            pairs += _stated(await call.resource())
        if len(pairs) > MAX_PARAMETERS:
            raise Invalid(f"an operation takes at most {MAX_PARAMETERS} parameters", kind=Kind.TOO_COSTLY)
        values: dict[str, list[Any]] = {}
        for name, value in pairs:
            if name in unsupported:
                raise Invalid(f"the parameter {name} is not supported here", kind=Kind.NOT_SUPPORTED)
            if name in known:
                values.setdefault(name, []).append(value)
            elif call.prefers("handling") != "lenient":
                raise Invalid(f"this operation has no parameter {name[:64]}", kind=Kind.NOT_SUPPORTED)
        return cls(values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """Raise Invalid for one that stands there several times, or is no text."""
        values = self._values.get(name, [""])
        if len(values) > 1:
            raise Invalid(f"{name} is stated more than once")
        value = values[0]
        if isinstance(value, (dict, list)):
            raise Invalid(f"{name} is a primitive value")
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    def needed(self, name: str) -> str:
        if not (text := self.text(name)):
            raise Invalid(f"the operation needs the parameter {name}", kind=Kind.INVALID)
        return text

    def texts(self, name: str) -> list[str]:
        return [str(value) for value in self._values.get(name, ()) if not isinstance(value, (dict, list))]

    def flag(self, name: str) -> bool:
        text = self.text(name)
        if text not in ("", "true", "false"):
            raise Invalid(f"{name} is true or false")
        return text == "true"

    def listed(self, name: str) -> list[dict[str, Any]]:
        """Raise Invalid for one that is no complex value."""
        values = self._values.get(name, [])
        if not all(isinstance(value, dict) for value in values):
            raise Invalid(f"{name} stands in a Parameters resource, with its members")
        return values

    def number(self, name: str) -> int | None:
        text = self.text(name)
        if not text:
            return None
        if not text.isdecimal() or len(text) > 9:
            raise Invalid(f"{name} is a number that is not negative")
        return int(text)

    def resource(self, name: str, type: str) -> dict[str, Any] | None:
        found = self._complex(name)
        if found is not None and found.get("resourceType") != type:
            raise Invalid(f"{name} is a {type}")
        return found

    def parts(self, name: str) -> list[dict[str, Any]]:
        """What the parts of each parameter of that name state, by their names."""
        stated = (value for value in self._values.get(name, ()) if isinstance(value, list))
        return [{str(part.get("name")): value_of(part)[1] for part in parts} for parts in stated]

    def codings(self) -> list[Coding]:
        """What is asked about, however it is stated: code and system, a Coding, or the codings of a CodeableConcept."""
        if sum(name in self for name in ("code", "coding", "codeableConcept")) > 1:
            raise Invalid("one of code, coding and codeableConcept is stated, not several")
        concept = self._complex("codeableConcept")
        if concept is not None:
            stated = concept.get("coding")
            found = [each for each in stated if isinstance(each, dict)] if isinstance(stated, list) else []
        else:
            coding = self._complex("coding")
            found = [coding] if coding is not None else []
        codings = [_coding(each) for each in found]
        if not codings and "code" in self:
            version = self.text("systemVersion") or self.text("version")
            codings = [(self.text("system"), version, self.needed("code"), self.text("display"))]
        if not codings or not all(code for _, _, code, _ in codings):
            raise Invalid("the operation needs a code: code and system, a coding, or a codeableConcept with a coding")
        return codings

    def side(self, side: str) -> Coding:
        """`codingA`, or `codeA` with `system`."""
        coding = self._complex(f"coding{side}")
        if coding is not None and f"code{side}" in self:
            raise Invalid(f"code{side} or coding{side} is stated, not both")
        found = _coding(coding) if coding is not None else (self.text("system"), "", self.text(f"code{side}"), "")
        if not found[2]:
            raise Invalid(f"the operation needs code{side} or coding{side}")
        return found[0], found[1] or self.text("version"), *found[2:]

    def _complex(self, name: str) -> dict[str, Any] | None:
        values = self._values.get(name)
        if not values:
            return None
        if len(values) > 1 or not isinstance(values[0], dict):
            raise Invalid(f"{name} stands once, in a Parameters resource")
        value: dict[str, Any] = values[0]
        return value


def _coding(stated: dict[str, Any]) -> Coding:
    system, version, code, display = (str(stated.get(name, "")) for name in ("system", "version", "code", "display"))
    return system, version, code, display


def _stated(resource: dict[str, Any]) -> list[tuple[str, Any]]:
    if resource.get("resourceType") != "Parameters":
        raise Invalid("send a Parameters resource")
    found = []
    for parameter in resource.get("parameter") or ():
        value = parameter.get("resource") or parameter.get("part") or value_of(parameter)[1]
        found.append((str(parameter.get("name", "")), value))
    return found


def parameters(*stated: tuple[str, str, Any]) -> dict[str, Any]:
    """(name, type of value, value) → Parameters; what is empty is left out. Type "part": a list of the same."""
    return {"resourceType": "Parameters", "parameter": _parts(stated)}


def _parts(stated: Iterable[tuple[str, str, Any]]) -> list[dict[str, Any]]:
    made = []
    for name, kind, value in stated:
        if kind == "part":
            made.append({"name": name, "part": _parts(value)})
        elif value not in ("", None):
            made.append({"name": name, f"value{kind}": value})
    return made
