"""Index codes beside a parameter's own, so that a modifier is a search of its own: "code:text", "identifier:of-type", …

    :text       words for a token: CodeableConcept.text, Coding.display, Identifier.type.text; folded, for no case matters to it
    :of-type    an Identifier with the coding of its type: Token(system of the type, "code|value")
    :identifier the Identifier that stands in a Reference
    :canonical  a UCUM quantity in base units (hub.search.units)

R4 has no :text of references, so what they display, mostly the patient's name again in every resource, is not kept.
https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import cache, lru_cache

from hub.search.convert import Converter, Json, of_extension, text
from hub.search.entries import Number, Quantity, String, Token, Value
from hub.search.folding import fold, fold_code
from hub.search.units import UCUM, canonical

REPEATED = 64  # a text up to this length is probably a code's display and comes again


def _word(stated: str) -> String | None:
    folded = fold(stated)
    return String(folded, "") if folded else None


_repeated_word = lru_cache(maxsize=16_384)(_word)


def _words(*found: Json) -> list[Value]:
    return [word for each in found if each and (word := _repeated_word(each) if len(each) <= REPEATED else _word(text(each)))]


def concept_text(value: Json, _: str) -> list[Value]:
    return _words(value.get("text"), *[each.get("display") for each in value.get("coding") or () if each])


def coding_text(value: Json, _: str) -> list[Value]:
    return _words(value.get("display"))


def identifier_text(value: Json, _: str) -> list[Value]:
    return _words((value.get("type") or {}).get("text"))


def identifier_of_type(value: Json, _: str) -> list[Value]:
    number = text(value.get("value"))
    codings = (value.get("type") or {}).get("coding") or ()
    return [
        Token(fold_code(f"{code}|{number}"), text(each.get("system")))
        for each in codings
        if number and each and (code := text(each.get("code")))
    ]


def reference_identifier(value: Json, _: str) -> list[Value]:
    stated = value.get("identifier")
    number, system = (text(stated.get("value")), text(stated.get("system"))) if stated else ("", "")
    return [Token(fold_code(number), system)] if number or system else []


def in_base_units(values: Iterable[Value]) -> list[Value]:
    """Of what a quantity's converter found; what states no UCUM code is not guessed at."""
    found: list[Value] = []
    for value in values:
        if type(value) is Quantity and value.system == UCUM:
            base = canonical(value.value, value.low, value.high, value.code)
            if base is not None:
                found.append(Quantity(*base[:3], UCUM, base[3]))
    return found


def latitude(value: Json, _: str) -> list[Value]:
    return _coordinate(value, "latitude")


def longitude(value: Json, _: str) -> list[Value]:
    return _coordinate(value, "longitude")


def _coordinate(value: Json, member: str) -> list[Value]:
    """Only together do they say a place; as it is written, for a distance knows no implicit precision."""
    both = value.get("latitude"), value.get("longitude")
    if any(isinstance(each, bool) or not isinstance(each, Decimal | int | float) for each in both):
        return []
    degrees = float(value[member])
    return [Number(degrees, degrees, degrees)]


Derived = tuple[tuple[str, Converter], ...]  # (suffix of the code, converter)

# Parameter type and data type → the codes beside it. ":canonical" is not among them: it is found from what the quantity yields.
DERIVED: dict[tuple[str, str], Derived] = {
    ("token", "CodeableConcept"): (("text", concept_text),),
    ("token", "Coding"): (("text", coding_text),),
    ("token", "Identifier"): (("text", identifier_text), ("of-type", identifier_of_type)),
    ("reference", "Reference"): (("identifier", reference_identifier),),
    ("special", "Location.position"): (("latitude", latitude), ("longitude", longitude)),
}


@cache
def derived(parameter_type: str, data_type: str) -> Derived:
    return _of_extensions(parameter_type) if data_type == "Extension" else DERIVED.get((parameter_type, data_type), ())


def _of_extensions(parameter_type: str) -> Derived:
    """An extension's value[x] has what its type would have."""
    by_suffix: dict[str, dict[str, Converter]] = {}
    for (kind, data_type), codes in DERIVED.items():
        if kind == parameter_type:
            for suffix, convert in codes:
                by_suffix.setdefault(suffix, {})[data_type] = convert
    return tuple((suffix, of_extension(converters)) for suffix, converters in by_suffix.items())
