"""Tables beside this file and value sets of profiles/cn, read once: types of documents, sections, data elements, names of codes.

WS/T 500.1-53-2016, WS/T 483.1-20-2016, WS 363 (data elements), WS/T 364 (value sets). A table holds facts only; what is made of
them is in the modules that `documents.toml` names under `make`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from profiles.catalogue import load_code_system

TABLES = Path(__file__).with_name("tables")


@dataclass(frozen=True, slots=True)
class DocumentType:
    code: str  # C0002 of WS/T 500; W12 for WS/T 483.12
    name: str
    also: tuple[str, ...] = ()  # titles that vendors give it
    loinc: tuple[str, ...] = ()  # code and name, where LOINC has one that says the same
    encounter_class: str = ""  # Encounter.class where the type leaves no doubt
    sections: tuple[str, ...] = ()  # asked for by the standard: LOINC code or name
    elements: tuple[str, ...] = ()  # data elements asked for
    make: tuple[str, ...] = ()
    diagnoses: bool = False  # whether it states the visit's diagnoses
    drugs: str = "taken"  # what a medication entry is: request, given, taken, device, vaccine


@dataclass(frozen=True, slots=True)
class Measure:
    """A data element that becomes an Observation."""

    code: str
    name: str
    category: str
    loinc: tuple[str, ...] = ()
    unit: str = ""  # what the catalogue fixes
    units: tuple[str, ...] = ()  # further spellings of it
    about: str = ""  # who it is about, if not the patient: Observation.focus
    by_name: bool = False  # its codes differ from source to source: only the name counts
    label: bool = False  # one code has several meanings: the entry's own label says which
    also: tuple[str, ...] = field(default=())

    @property
    def is_catalogued(self) -> bool:
        return self.code.startswith(("DE", "HDSD"))


@dataclass(frozen=True, slots=True)
class Pair:
    """An element that names an item, and the one that holds its result."""

    result: str
    category: str
    about: str = ""
    beside: bool = False  # the result is a sibling, paired by order
    apgar: bool = False


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((TABLES / f"{name}.toml").read_text("utf-8"))


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


@cache
def document_types() -> Mapping[str, DocumentType]:
    found = {}
    for code, values in _table("documents").items():
        renamed = {"encounter_class" if name == "class" else name: value for name, value in _tuples(values).items()}
        found[code] = DocumentType(code, **renamed)
    return MappingProxyType(found)


@cache
def section_labels() -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({code: tuple(labels) for code, labels in _table("sections").items()})


@cache
def label_means() -> Mapping[str, str]:
    """A section's label, folded → its LOINC code."""
    return MappingProxyType({folded(label): code for code, labels in section_labels().items() for label in labels})


@cache
def measures() -> Mapping[str, Measure]:
    return MappingProxyType(
        {code: Measure(code, **_tuples(values)) for code, values in _table("data_elements")["observation"].items()}
    )


@cache
def measures_by_label() -> Mapping[str, Measure]:
    return MappingProxyType({folded(name): measure for measure in measures().values() for name in (measure.name, *measure.also)})


@cache
def pairs() -> Mapping[str, Pair]:
    return MappingProxyType({code: Pair(**values) for code, values in _table("data_elements")["pair"].items()})


@cache
def words() -> Mapping[str, str]:
    """Data elements whose place is the narrative."""
    return MappingProxyType(dict(_table("data_elements")["words"]))


# OID below 2.16.156.10011 → the CodeSystem in profiles/cn that names its codes. Blood groups and kinds of identity documents are
# not here: their codes differ from source to source, so only the name counts.
NAMED = {
    "2.3.1.253": "admission-condition",
    "2.3.1.265": "discharge-way",
    "2.3.1.256": "incision-class",
    "2.3.1.257": "incision-healing",
    "2.3.1.258": "surgery-level",
    "2.3.1.259": "nursing-level",
    "2.3.1.100": "inpatient-state",
    "2.3.1.268": "order-type",
    "2.3.1.158": "drug-route",
    "2.3.1.267": "drug-frequency",
    "2.3.1.157": "tcm-use",
    "2.3.1.270": "admission-route",
    "2.3.1.271": "patient-type",
    "2.3.1.183": "follow-up-way",
    "2.3.2.39": "first-visit",
    "2.3.3.4": "gender",
    "2.3.3.5": "marital-status",
}


@cache
def value_names() -> Mapping[str, Mapping[str, str]]:
    """OID below 2.16.156.10011 → code → name. A document's code without a name gets it; a name that is another code's is told."""
    return MappingProxyType({oid: load_code_system(name) for oid, name in NAMED.items()})


_FOLD = str.maketrans({"（": "(", "）": ")", "，": ",", "：": ":", "／": "/", "\u3000": None, " ": None, "\t": None, "\n": None})


def folded(text: str) -> str:
    """A label or title without what writers do differently: widths of brackets, blanks, capitals, 章节 at its end."""
    return re.sub(r"(?<=.)章节$", "", text.translate(_FOLD).upper())
