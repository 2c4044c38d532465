"""What a substanceAdministration of WS/T 500 says of a drug: its name and codes, dose, route, frequency, specification.

The standard's own template puts the frequency into rateQuantity; others state it as an observation below the drug.
"""

from __future__ import annotations

from typing import Any

from connectors.xml import Element
from mappers.cda.codes import CN
from mappers.cda.document import Document
from mappers.cda.entries import Statement
from mappers.cda.reader import attribute, below, child, text_of
from mappers.cda.values import concept
from mappers.datatypes import parse_quantity
from mappers.identity_keys import local_system

SPECIFICATION, TOTAL, USAGE, FREQUENCY = "DE08.50.043", "DE06.00.135", "DE06.00.136", "DE06.00.133"
DOSE_UNIT = "DE08.50.024"
DRUG_SPECIFICATION = "urn:hub:ext:drug-specification"
ROUTES, FREQUENCIES = f"{CN}.2.3.1.158", f"{CN}.2.3.1.267"
GTS = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"
# 频次 CV06.00.228 as far as HL7 has the same
TIMING = {"01": "BID", "09": "QD", "10": "QID", "11": "QOD"}


def product_of(element: Element) -> Element | None:
    """manufacturedLabeledDrug or manufacturedMaterial, however it is spelled."""
    product = next(below(element, "manufacturedProduct"), None)
    inner = [] if product is None else [e for e in product if isinstance(e.tag, str) and e.tag.startswith("manufac")]
    return next((e for e in inner if child(e, "name") is not None or child(e, "code") is not None), None)


def names_of(drug: Statement) -> dict[str, Any] | None:
    product = product_of(drug.element)
    code, name = child(product, "code"), text_of(child(product, "name"))
    stated, display = attribute(code, "code"), attribute(code, "displayName")
    text = name or display or text_of(child(code, "originalText"))
    if not (stated or text):
        return None
    if not stated:
        return {"text": text}
    system = attribute(code, "codeSystem")  # `medication_of` makes it a URI
    return {"coding": [{"system": system, "code": stated, **({"display": display} if display else {})}], "text": text or stated}


def medication_of(document: Document, drug: Statement) -> dict[str, Any]:
    """CodeableConcept of the drug, with what ConceptMaps make of its code."""
    found = names_of(drug) or {"text": "—"}
    for own in found.get("coding", [])[:1]:
        own["system"] = document.uri(own["system"]) if own["system"] else local_system(document.facility, "drug")
        found["coding"] += [dict(more) for more in document.context.translate(own["system"], own["code"])]
    return found


def part_of(document: Document, drug: Statement, code: str, to: str) -> Statement | None:
    """A statement below the drug, marked as used."""
    found = drug.within(code)
    if found is None or not found.says_something:
        return None
    document.use(to, found.element)
    return found


def amount_of(element: Element | None, unit: str = "") -> dict[str, Any] | None:
    stated = attribute(element, "unit")
    return parse_quantity(attribute(element, "value"), unit if stated in ("", "1") else stated)


def route_of(document: Document, drug: Statement) -> dict[str, Any] | None:
    element = child(drug.element, "routeCode")
    code, name = attribute(element, "code"), attribute(element, "displayName") or text_of(child(element, "originalText"))
    if not code:
        return {"text": name} if name else None
    stated = Statement(drug.element, "", "", "用药途径", "CD", name, "", code, attribute(element, "codeSystem") or ROUTES, name)
    return concept(document, stated)


def timing_of(document: Document, drug: Statement) -> dict[str, Any] | None:
    """How often: a coded frequency, or rateQuantity, which the standard's own template uses for it."""
    stated = part_of(document, drug, FREQUENCY, "dosage.timing")
    if stated is not None:
        found = concept(document, stated) or {}
        if stated.system == FREQUENCIES and stated.coded in TIMING:
            found["coding"] = [*found.get("coding", []), {"system": GTS, "code": TIMING[stated.coded]}]
        return {"code": found}
    rate = child(drug.element, "rateQuantity")
    words = f"{attribute(rate, 'value')}{attribute(rate, 'unit')}"
    return {"code": {"text": words}} if attribute(rate, "value") else None


def dosage(document: Document, drug: Statement) -> dict[str, Any]:
    """Dosage of a medication entry; {} when it says nothing."""
    unit = part_of(document, drug, DOSE_UNIT, "dosage.doseAndRate")
    usage = part_of(document, drug, USAGE, "dosage.text")
    dose = amount_of(child(drug.element, "doseQuantity"), unit.value if unit else "")
    route, timing = route_of(document, drug), timing_of(document, drug)
    result: dict[str, Any] = {}
    if usage:
        result["text"] = usage.text
    if timing:
        result["timing"] = timing
    if route:
        result["route"] = route
    if dose:
        result["doseAndRate"] = [{"doseQuantity": dose}]
    return result


def specification_of(document: Document, drug: Statement) -> list[dict[str, Any]]:
    found = part_of(document, drug, SPECIFICATION, "extension")
    return [{"url": DRUG_SPECIFICATION, "valueString": found.text}] if found else []
