"""Slices by every kind of discriminator, and extensions by their definitions. https://hl7.org/fhir/R4/profiling.html"""

from __future__ import annotations

from typing import Any

import pytest

from profiles.validation.profile import ProfileCheck
from profiles.validation.standard import standard_profile
from tests.hub.api.county import bundle, observation, patient

CORE = "http://hl7.org/fhir/StructureDefinition/"
COUNTY = "http://county/"
Json = dict[str, Any]


def profile(name: str, kind: str, *elements: Json) -> Json:
    stated = [{"id": each["path"], **each} for each in elements]
    return {"url": COUNTY + name, "type": kind, "baseDefinition": CORE + kind, "differential": {"element": stated}}


def sliced(path: str, kind: str, by: str, rules: str = "open", **more: Any) -> Json:
    return {"path": path, "slicing": {"discriminator": [{"type": kind, "path": by}], "rules": rules, **more}}


def slice_(path: str, name: str, code: str = "", *, below: str = "", **more: Any) -> Json:
    types = {"type": [{"code": code, **more.pop("of", {})}]} if code else {}
    inner = f".{below}" if below else ""
    return {"id": f"{path}:{name}{inner}", "path": path + inner, **({} if below else {"sliceName": name}), **types, **more}


def referring(name: str) -> Json:
    return {"of": {"targetProfile": [name]}}


PROFILES = [
    profile(
        "by-type",
        "Observation",
        sliced("Observation.component", "type", "value", "closed"),
        slice_("Observation.component", "amount", min=1, max="1"),
        slice_("Observation.component", "amount", "Quantity", below="value[x]"),
    ),
    profile(
        "by-target",
        "Observation",
        sliced("Observation.performer", "type", "resolve()"),
        slice_("Observation.performer", "doctor", "Reference", min=1, max="1", **referring(CORE + "Practitioner")),
    ),
    profile(
        "by-profile",
        "Observation",
        sliced("Observation.performer", "profile", "resolve()"),
        slice_("Observation.performer", "licensed", "Reference", min=1, **referring(COUNTY + "licensed")),
    ),
    profile("licensed", "Practitioner", {"path": "Practitioner.qualification", "min": 1}),
    profile(
        "by-code-there",
        "Observation",
        sliced("Observation.performer", "value", "resolve().gender"),
        slice_("Observation.performer", "woman", "Reference", min=1, **referring(COUNTY + "woman")),
    ),
    profile("woman", "Practitioner", {"path": "Practitioner.gender", "fixedCode": "female"}),
    profile(
        "by-extension",
        "Patient",
        sliced("Patient.name", "value", "extension('urn:use').value"),
        slice_("Patient.name", "local", min=1),
        slice_("Patient.name", "local", below="extension", min=0),
        {"id": "Patient.name:local.extension:use", "path": "Patient.name.extension", "sliceName": "use"},
        {"id": "Patient.name:local.extension:use.url", "path": "Patient.name.extension.url", "fixedUri": "urn:use"},
        {"id": "Patient.name:local.extension:use.value[x]", "path": "Patient.name.extension.value[x]", "fixedCode": "local"},
    ),
    profile(
        "in-order",
        "Patient",
        sliced("Patient.name", "value", "use", "openAtEnd", ordered=True),
        slice_("Patient.name", "first"),
        slice_("Patient.name", "first", below="use", fixedCode="official"),
        slice_("Patient.name", "second"),
        slice_("Patient.name", "second", below="use", fixedCode="usual"),
    ),
    profile(
        "entries",
        "Bundle",
        sliced("Bundle.entry", "type", "resource"),
        slice_("Bundle.entry", "patient", min=1, max="1"),
        slice_("Bundle.entry", "patient", "Patient", below="resource"),
    ),
]
KNOWN = {each["url"]: each for each in PROFILES}


def told(resource: Json, *names: str) -> list[str]:
    check = ProfileCheck(lambda url: KNOWN.get(url) or standard_profile(url), codes=lambda *_: None)
    issues = check.issues(resource, [COUNTY + name for name in names])
    return [f"{issue.severity} {issue.expression}: {issue.message}".partition(" (profile")[0] for issue in issues]


def component(**value: Any) -> Json:
    return {"code": {"text": "x"}, **value}


def performed(*performers: Any, **contained: Any) -> Json:
    inner = [{"resourceType": "Practitioner", "id": id, **content} for id, content in contained.items()]
    references = [{"reference": each} for each in performers]
    return observation("o", "p", performer=references, **({"contained": inner} if inner else {}))


def named(*uses: str) -> Json:
    return patient("p", name=[{"use": use, "text": "x"} for use in uses])


def once(name: str, path: str, times: str = "at least 1 times, not 0") -> list[str]:
    return [f"error {path}: slice {name} of it stands {times}"]


LOCAL = {"text": "x", "extension": [{"url": "urn:use", "valueCode": "local"}]}
COMPONENT, PERFORMER = "Observation.component", "Observation.performer"
CASES: list[tuple[str, Json, list[str]]] = [
    ("by-type", observation("o", "p", component=[component(valueQuantity={"value": 1})]), []),
    (
        "by-type",
        observation("o", "p", component=[component(valueString="x")]),
        [*once("amount", COMPONENT), f"error {COMPONENT}[0]: the value belongs to no slice, and no others are allowed"],
    ),
    ("by-target", performed("Practitioner/a", "Organization/b"), []),
    ("by-target", performed("http://elsewhere/fhir/Practitioner/a/_history/2"), []),
    ("by-target", performed("#d", d={}), []),
    ("by-target", performed("Organization/b"), once("doctor", PERFORMER)),
    ("by-target", performed("Practitioner/a", "Practitioner/b"), once("doctor", PERFORMER, "at most 1 times, not 2")),
    ("by-profile", performed("#d", d={"qualification": [{"code": {"text": "x"}}]}), []),
    ("by-profile", performed("#d", d={}), once("licensed", PERFORMER)),
    (
        "by-profile",
        performed("Practitioner/a"),
        [f"information {PERFORMER}: slice licensed is not checked: it is told by what is referred to and not at hand"],
    ),
    ("by-code-there", performed("#d", d={"gender": "female"}), []),
    ("by-code-there", performed("#d", d={"gender": "male"}), once("woman", PERFORMER)),
    ("by-extension", patient("p", name=[LOCAL]), []),
    ("by-extension", patient("p", name=[{"text": "x"}]), once("local", "Patient.name")),
    ("in-order", named("official", "usual", "old"), []),
    ("in-order", named("usual", "official"), ["error Patient.name: the values do not stand in the order of the slices"]),
    (
        "in-order",
        named("official", "old", "usual"),
        ["error Patient.name[1]: the value belongs to no slice, and others are allowed at the end only"],
    ),
    ("entries", bundle("collection", {"resource": patient("p")}, {"resource": observation("o", "p")}), []),
    ("entries", bundle("collection", {"resource": observation("o", "p")}), once("patient", "Bundle.entry")),
]


@pytest.mark.parametrize(("name", "resource", "expected"), CASES)
def test_a_value_belongs_to_the_slice_that_its_discriminator_tells(name: str, resource: Json, expected: list[str]) -> None:
    found = [line for line in told(resource, name) if "extension is not known" not in line]
    assert found == expected


BIRTH_PLACE, ANIMAL = f"{CORE}patient-birthPlace", f"{CORE}patient-animal"


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        ({"url": BIRTH_PLACE, "valueAddress": {"city": "x"}}, []),
        (
            {"url": BIRTH_PLACE, "valueString": "x"},
            ["error Patient.extension[0].valueString: the type is one of Address"],
        ),
        ({"url": ANIMAL, "extension": [{"url": "species", "valueCodeableConcept": {"text": "x"}}]}, []),
        (
            {"url": ANIMAL, "extension": [{"url": "breed", "valueCodeableConcept": {"text": "x"}}]},
            ["error Patient.extension[0].extension: slice species of it stands at least 1 times, not 0"],
        ),
        (
            {"url": f"{CORE}encounter-reasonCancelled", "valueCodeableConcept": {"text": "x"}},
            ["warning Patient.extension[0]: the extension does not belong on this element"],
        ),
        (
            {"url": "http://nobody/knows", "valueString": "x"},
            ["information Patient.extension[0]: the extension is not known here and was not checked"],
        ),
    ],
)
def test_an_extension_is_held_to_its_definition(extension: Json, expected: list[str]) -> None:
    assert told(patient("p", extension=[extension])) == expected


def test_extensions_are_found_at_every_depth() -> None:
    unknown = {"extension": [{"url": "urn:x", "valueString": "x"}]}
    resource = patient("p", birthDate="1970", _birthDate=unknown, contact=[{"name": {"family": "x", **unknown}}])
    resource["contained"] = [{"resourceType": "Organization", "id": "o", "name": "x", "modifierExtension": unknown["extension"]}]
    assert {line.partition(":")[0] for line in told(resource)} == {
        "information Patient.contact[0].name.extension[0]",
        "warning Patient.contained[0].modifierExtension[0]",
        "information Patient._birthDate.extension[0]",
    }


def test_what_one_resource_breaks_is_not_said_of_the_next() -> None:
    check = ProfileCheck(KNOWN.get, codes=lambda *_: None)
    assert check.issues(named("usual", "official"), [COUNTY + "in-order"])
    assert check.issues(named("official"), [COUNTY + "in-order"]) == []


def test_many_extensions_are_not_looked_up_without_end() -> None:
    asked: list[str] = []
    check = ProfileCheck(asked.append, codes=lambda *_: None)
    many = [{"url": f"urn:{number}", "valueString": "x"} for number in range(5000)]
    issues = check.issues(patient("p", extension=many))
    assert len(asked) < 300
    assert any("too many steps" in issue.message for issue in issues)
