"""patch: JSON Patch, FHIRPath Patch, with If-Match and by criteria. https://hl7.org/fhir/R4/http.html#patch"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.hub.api.county import FHIR, Client, Served, observation, patient

pytestmark = pytest.mark.anyio

JSON_PATCH = {"content-type": "application/json-patch+json"}


def replaced(path: str, value: object) -> dict[str, object]:
    return {"op": "replace", "path": path, "value": value}


def fhirpath(*operations: dict[str, Any]) -> dict[str, Any]:
    """Parts by name: an `int` is a valueInteger, a dict a part as it is, else a string."""
    listed = [{"name": "operation", "part": _parts(operation)} for operation in operations]
    return {"resourceType": "Parameters", **({"parameter": listed} if listed else {})}


def _parts(operation: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = {"type": "valueCode", "index": "valueInteger", "source": "valueInteger", "destination": "valueInteger"}
    return [
        {"name": name, **value} if isinstance(value, dict) else {"name": name, kinds.get(name, "valueString"): value}
        for name, value in operation.items()
    ]


# -- JSON Patch


async def test_a_json_patch_makes_a_version_and_keeps_every_decimal(admin: Client) -> None:
    text = (
        b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"valueQuantity":{"value":72.50,"unit":"mg"}}'
    )
    await admin.http.put("/fhir/Observation/o", content=text, headers=FHIR)
    answer = await admin.patch("/fhir/Observation/o", [replaced("/status", "amended")])
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert answer.headers["location"].endswith("/fhir/Observation/o/_history/2")
    stored = await admin.get("/fhir/Observation/o")
    assert stored.json()["status"] == "amended"
    assert '"value":72.50' in stored.text


async def test_a_number_in_a_patch_keeps_its_spelling(admin: Client) -> None:
    await admin.put(observation("o", "p", valueQuantity={"value": 1}))
    await admin.http.patch(
        "/fhir/Observation/o", content=b'[{"op":"replace","path":"/valueQuantity/value","value":3.900}]', headers=JSON_PATCH
    )
    assert '"value":3.900' in (await admin.get("/fhir/Observation/o")).text


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/birthDate", "value": "1970"}], {"birthDate": "1970"}),
        ([{"op": "add", "path": "/name/-", "value": {"text": "二"}}], {"name": [{"text": "张三"}, {"text": "二"}]}),
        ([{"op": "add", "path": "/name/0", "value": {"text": "二"}}], {"name": [{"text": "二"}, {"text": "张三"}]}),
        ([{"op": "remove", "path": "/gender"}], {"gender": None}),
        ([{"op": "remove", "path": "/name/0/text"}], {"name": None}),
        (
            [{"op": "remove", "path": "/name/0"}, {"op": "add", "path": "/name/-", "value": {"text": "二"}}],
            {"name": [{"text": "二"}]},
        ),
        ([{"op": "test", "path": "/gender", "value": "male"}, replaced("/gender", "other")], {"gender": "other"}),
        ([{"op": "copy", "from": "/name/0", "path": "/name/1"}], {"name": [{"text": "张三"}, {"text": "张三"}]}),
        ([{"op": "move", "from": "/name/0/text", "path": "/name/0/family"}], {"name": [{"family": "张三"}]}),
        ([{"op": "add", "path": "/extension", "value": [{"url": "urn:a/b~c", "valueString": "x"}]}], {"gender": "male"}),
    ],
    ids=str,
)
async def test_json_patch_operations(admin: Client, operations: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    await admin.put(patient("p"))
    answer = await admin.patch("/fhir/Patient/p", operations)
    assert answer.status_code == 200, answer.text
    assert {name: answer.json().get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 400),
        (b'[{"op":"frobnicate","path":"/gender"}]', 400),
        (b'[{"op":"add","path":"/gender"}]', 400),
        (b'[{"op":"add","path":"gender","value":"x"}]', 400),
        (b'[{"op":"add","path":"/a~2b","value":"x"}]', 400),
        (b'[],"x":[', 400),
        (b'[{"op":"add","path":"/gender","value":NaN}]', 400),
        (b'[{"op":"remove","path":"/birthDate"}]', 422),
        (b'[{"op":"test","path":"/gender","value":"female"}]', 422),
        (b'[{"op":"add","path":"/name/7","value":{"text":"x"}}]', 422),
        (b'[{"op":"add","path":"/name/01","value":{"text":"x"}}]', 422),
        (b'[{"op":"replace","path":"/id","value":"q"}]', 422),
        (b'[{"op":"replace","path":"/resourceType","value":"Person"}]', 422),
        (b'[{"op":"replace","path":"","value":[]}]', 422),
        (b'[{"op":"remove","path":""}]', 422),
        (b'[{"op":"move","from":"/name","path":"/name/0"}]', 422),
        (b'[{"op":"replace","path":"/gender","value":"never"}]', 422),
        (b"[" + b",".join(b'{"op":"copy","from":"","path":"/x%d"}' % number for number in range(40)) + b"]", 422),
        (b"[" + b",".join([b'{"op":"remove","path":"/gender"}'] * 1001) + b"]", 413),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_a_json_patch_that_cannot_be_done_changes_nothing(admin: Client, body: bytes, status: int) -> None:
    await admin.put(patient("p"))
    answer = await admin.http.patch("/fhir/Patient/p", content=body, headers=JSON_PATCH)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
    assert "张三" not in answer.text
    assert "never" not in answer.text
    assert (await admin.get("/fhir/Patient/p")).headers["etag"] == 'W/"1"'


# -- FHIRPath Patch

TWO = [{"system": "urn:x", "value": "1"}, {"system": "urn:x", "value": "2"}]
THIRD = {"valueIdentifier": {"system": "urn:x", "value": "3"}}


def numbers(resource: dict[str, Any]) -> list[str]:
    return [identifier["value"] for identifier in resource["identifier"]]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (
            {"type": "add", "path": "Patient", "name": "birthDate", "value": {"valueDate": "1930-01-01"}},
            {"birthDate": "1930-01-01"},
        ),
        (
            {"type": "add", "path": "Patient", "name": "maritalStatus", "value": {"valueCodeableConcept": {"text": "married"}}},
            {"maritalStatus": {"text": "married"}},
        ),
        (
            {"type": "add", "path": "Patient.name[0]", "name": "given", "value": {"valueString": "三"}},
            {"name": [{"text": "张三", "given": ["三"]}]},
        ),
        (
            {"type": "add", "path": "Patient", "name": "deceased", "value": {"valueBoolean": True}},
            {"deceasedBoolean": True},
        ),
        (
            {
                "type": "add",
                "path": "Patient",
                "name": "contact",
                "value": {
                    "part": [
                        {"name": "name", "valueHumanName": {"text": "a name"}},
                        {"name": "relationship", "valueCodeableConcept": {"text": "a"}},
                        {"name": "relationship", "valueCodeableConcept": {"text": "b"}},
                    ]
                },
            },
            {"contact": [{"name": {"text": "a name"}, "relationship": [{"text": "a"}, {"text": "b"}]}]},
        ),
        ({"type": "replace", "path": "Patient.gender", "value": {"valueCode": "female"}}, {"gender": "female"}),
        ({"type": "replace", "path": "Patient.name.where(text = '张三').text", "value": "李四"}, {"name": [{"text": "李四"}]}),
        ({"type": "replace", "path": "name.first().text", "value": "李四"}, {"name": [{"text": "李四"}]}),
        ({"type": "delete", "path": "Patient.gender"}, {"gender": None}),
        ({"type": "delete", "path": "Patient.`gender`"}, {"gender": None}),
        ({"type": "delete", "path": "Patient.name[0].text"}, {"name": None}),
        ({"type": "delete", "path": "Patient.name[0]"}, {"name": None}),
        ({"type": "delete", "path": "Patient.birthDate"}, {"gender": "male"}),
    ],
    ids=str,
)
async def test_fhirpath_patch_operations(admin: Client, operation: dict[str, Any], expected: dict[str, Any]) -> None:
    await admin.put(patient("p"))
    answer = await admin.patch("/fhir/Patient/p", fhirpath(operation))
    assert answer.status_code == 200, answer.text
    assert {name: answer.json().get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([], ["1", "2"]),
        ([{"type": "insert", "path": "Patient.identifier", "index": 2, "value": THIRD}], ["1", "2", "3"]),
        ([{"type": "insert", "path": "Patient.identifier", "index": 0, "value": THIRD}], ["3", "1", "2"]),
        ([{"type": "delete", "path": "Patient.identifier[0]"}], ["2"]),
        ([{"type": "delete", "path": "Patient.identifier.where(value = '2' and system.exists())"}], ["1"]),
        ([{"type": "delete", "path": "Patient.identifier.where(value.startsWith('2') or value = '7')"}], ["1"]),
        ([{"type": "replace", "path": "Patient.identifier.last()", "value": THIRD}], ["1", "3"]),
        ([{"type": "move", "path": "Patient.identifier", "source": 1, "destination": 0}], ["2", "1"]),
        (
            [
                {"type": "insert", "path": "Patient.identifier", "index": 1, "value": THIRD},
                {"type": "move", "path": "Patient.identifier", "source": 0, "destination": 2},
            ],
            ["3", "2", "1"],
        ),
    ],
    ids=str,
)
async def test_fhirpath_patch_on_lists(admin: Client, operations: list[dict[str, Any]], expected: list[str]) -> None:
    await admin.put(patient("p", identifier=TWO))
    answer = await admin.patch("/fhir/Patient/p", fhirpath(*operations))
    assert answer.status_code == 200, answer.text
    assert numbers(answer.json()) == expected


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([(3, 1)], "1423"),
        ([(3, 0)], "4123"),
        ([(0, 3)], "2341"),
        ([(1, 0), (2, 1)], "2314"),
        ([(3, 0), (3, 1), (3, 2)], "4321"),
    ],
)
async def test_a_move_counts_places_in_the_list_without_what_moves(
    admin: Client, moves: list[tuple[int, int]], expected: str
) -> None:
    await admin.put(patient("p", identifier=[{"system": "urn:x", "value": value} for value in "1234"]))
    operations = [{"type": "move", "path": "Patient.identifier", "source": a, "destination": b} for a, b in moves]
    assert numbers((await admin.patch("/fhir/Patient/p", fhirpath(*operations))).json()) == list(expected)


async def test_nothing_is_added_to_what_is_not_there(admin: Client) -> None:
    await admin.put(patient("p", identifier=TWO))
    end = {"name": "end", "path": "Patient.identifier.where(value = '1').period", "value": {"valueDateTime": "2021-12-01"}}
    answer = await admin.patch("/fhir/Patient/p", fhirpath({"type": "add", **end}))
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (422, ["Parameters.parameter[0]"])


async def test_insert_begins_a_list_that_is_not_there(admin: Client) -> None:
    await admin.put(patient("p"))
    begun = fhirpath({"type": "insert", "path": "Patient.identifier", "index": 0, "value": THIRD})
    assert numbers((await admin.patch("/fhir/Patient/p", begun)).json()) == ["3"]


async def test_primitives_and_their_companions_stay_side_by_side(admin: Client) -> None:
    unknown = {"extension": [{"url": "urn:why", "valueString": "?"}]}
    await admin.put(patient("p", name=[{"given": ["a", "b", "c"], "_given": [None, unknown, None]}]))
    moved = fhirpath(
        {"type": "move", "path": "Patient.name[0].given", "source": 1, "destination": 2},
        {"type": "delete", "path": "Patient.name[0].given[0]"},
    )
    name = (await admin.patch("/fhir/Patient/p", moved)).json()["name"][0]
    assert (name["given"], name["_given"]) == (["c", "b"], [None, unknown])
    more = fhirpath(
        {"type": "insert", "path": "Patient.name[0].given", "index": 1, "value": "d"},
        {"type": "add", "path": "Patient.name[0]", "name": "given", "value": {"_valueString": unknown}},
    )
    name = (await admin.patch("/fhir/Patient/p", more)).json()["name"][0]
    assert (name["given"], name["_given"]) == (["c", "d", "b", None], [None, None, unknown, unknown])


async def test_a_choice_takes_its_name_from_the_value(admin: Client) -> None:
    text = (
        b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},'
        b'"valueQuantity":{"value":72.50},"issued":"2025-01-01T00:00:00Z"}'
    )
    await admin.http.put("/fhir/Observation/o", content=text, headers=FHIR)
    precise = fhirpath({"type": "replace", "path": "Observation.value.unit", "value": "mg"})
    assert (await admin.patch("/fhir/Observation/o", precise)).status_code == 422  # there is no unit to replace
    unit = fhirpath({"type": "add", "path": "Observation.value", "name": "unit", "value": "mg"})
    assert '"value":72.50' in (await admin.patch("/fhir/Observation/o", unit)).text
    grams = fhirpath({"type": "replace", "path": "(Observation.value as Quantity).unit", "value": "g"})
    assert (await admin.patch("/fhir/Observation/o", grams)).json()["valueQuantity"]["unit"] == "g"
    none = fhirpath({"type": "replace", "path": "(Observation.value as string)", "value": "g"})
    assert (await admin.patch("/fhir/Observation/o", none)).status_code == 422
    other = fhirpath({"type": "replace", "path": "Observation.value", "value": {"valueString": "positive"}})
    names = list((await admin.patch("/fhir/Observation/o", other)).json())
    assert names[-2:] == ["valueString", "issued"]
    assert "valueQuantity" not in names
    wrong = fhirpath({"type": "replace", "path": "Observation.value", "value": {"valueAddress": {"text": "x"}}})
    assert (await admin.patch("/fhir/Observation/o", wrong)).status_code == 422


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"type": "frobnicate", "path": "Patient.gender"}, 400),
        ({"path": "Patient.gender"}, 400),
        ({"type": "replace", "path": "Patient.gender"}, 400),
        ({"type": "replace", "path": "Observation.status", "value": "x"}, 400),
        ({"type": "replace", "path": "Patient.identifier.where(value.matches('(a+)+$'))", "value": "x"}, 400),
        ({"type": "replace", "path": "Patient.gender +", "value": "x"}, 400),
        ({"type": "replace", "path": "Patient.name.where((((((((((true))))))))))", "value": "x"}, 400),
        ({"type": "replace", "path": "(" * 400 + "Patient.name", "value": "x"}, 400),
        ({"type": "replace", "path": "x" * 1001, "value": "x"}, 400),
        ({"type": "insert", "path": "Patient.identifier", "index": -1, "value": THIRD}, 400),
        ({"type": "insert", "path": "Patient.identifier", "index": 3, "value": THIRD}, 422),
        ({"type": "insert", "path": "Patient.gender", "index": 0, "value": "x"}, 422),
        ({"type": "insert", "path": "Patient.identifier[0]", "index": 0, "value": THIRD}, 400),
        ({"type": "move", "path": "Patient.identifier", "source": 0, "destination": 2}, 422),
        ({"type": "move", "path": "Patient.active", "source": 0, "destination": 0}, 422),
        ({"type": "add", "path": "Patient", "name": "gender", "value": {"valueCode": "male"}}, 422),
        ({"type": "add", "path": "Patient", "name": "nickname", "value": "x"}, 422),
        ({"type": "add", "path": "Patient.identifier", "name": "value", "value": "x"}, 422),
        ({"type": "add", "path": "Patient.identifier[0]", "name": "period", "value": "x"}, 400),
        ({"type": "replace", "path": "Patient.birthDate", "value": {"valueDate": "1930"}}, 422),
        ({"type": "replace", "path": "Patient.gender", "value": {"valueCode": "never"}}, 422),
        ({"type": "replace", "path": "Patient.id", "value": {"valueId": "q"}}, 422),
        ({"type": "delete", "path": "Patient.identifier"}, 422),
        ({"type": "delete", "path": "Patient"}, 422),
    ],
    ids=lambda value: str(value)[:70],
)
async def test_a_fhirpath_patch_that_cannot_be_done_changes_nothing(admin: Client, operation: dict[str, Any], status: int) -> None:
    await admin.put(patient("p", identifier=TWO, active=True))
    answer = await admin.patch("/fhir/Patient/p", fhirpath(operation))
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome"), answer.text
    assert "never" not in answer.text
    assert (await admin.get("/fhir/Patient/p")).headers["etag"] == 'W/"1"'


# -- both


async def test_a_patch_that_changes_nothing_makes_no_version(admin: Client) -> None:
    await admin.put(patient("p"))
    assert (await admin.patch("/fhir/Patient/p", [replaced("/gender", "male")])).headers["etag"] == 'W/"1"'
    assert (await admin.patch("/fhir/Patient/p", fhirpath())).headers["etag"] == 'W/"1"'


async def test_if_match_is_looked_at_before_the_patch(admin: Client) -> None:
    await admin.put(patient("p"))
    stale = await admin.patch("/fhir/Patient/p", [{"op": "remove", "path": "/birthDate"}], if_match='W/"7"')
    assert (stale.status_code, stale.json()["issue"][0]["code"]) == (412, "conflict")
    assert (await admin.patch("/fhir/Patient/p", [replaced("/gender", "other")], if_match='W/"1"')).status_code == 200


async def test_what_is_not_there_cannot_be_patched(hub: Served, admin: Client) -> None:
    change = [replaced("/gender", "other")]
    assert (await admin.patch("/fhir/Patient/never", change)).status_code == 404
    await admin.put(patient("p"))
    await admin.delete("/fhir/Patient/p")
    assert (await admin.patch("/fhir/Patient/p", change)).status_code == 410
    await hub.client("clinician", "CTY").put(patient("c"))
    assert (await hub.client("clinician", "TWN").patch("/fhir/Patient/c", change)).status_code == 404
    assert (await hub.client("reader", "CTY").patch("/fhir/Patient/c", change)).status_code == 403


@pytest.mark.parametrize("kind", ["application/xml-patch+xml", "application/merge-patch+json", "text/plain", ""])
async def test_other_kinds_of_patch_are_refused_by_name(admin: Client, kind: str) -> None:
    await admin.put(patient("p"))
    answer = await admin.http.patch("/fhir/Patient/p", content=b"[]", headers={"content-type": kind})
    assert answer.status_code == 415
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(("preference", "length"), [("minimal", 0), ("representation", 1), ("OperationOutcome", 1)])
async def test_prefer_decides_what_a_patch_returns(admin: Client, preference: str, length: int) -> None:
    await admin.put(patient("p"))
    answer = await admin.patch("/fhir/Patient/p", [replaced("/gender", "other")], prefer=f"return={preference}")
    assert (answer.status_code, bool(answer.content)) == (200, bool(length))


async def test_a_conditional_patch_needs_one_match(admin: Client) -> None:
    for id, code in (("a", "1"), ("b", "2"), ("c", "2")):
        await admin.put(patient(id, identifier=[{"system": "urn:x", "value": code}]))
    change = [replaced("/gender", "other")]
    assert (await admin.patch("/fhir/Patient?identifier=urn:x|1", change)).json()["id"] == "a"
    assert (await admin.patch("/fhir/Patient?identifier=urn:x|9", change)).status_code == 404
    several = await admin.patch("/fhir/Patient?identifier=urn:x|2", change)
    assert (several.status_code, several.json()["issue"][0]["code"]) == (412, "multiple-matches")
    assert (await admin.patch("/fhir/Patient?identifier=urn:x|1", change, if_match='W/"1"')).status_code == 412


async def test_patches_at_once_are_all_done(admin: Client) -> None:
    await admin.put(patient("p"))
    names = [f"name {number}" for number in range(8)]
    added = [[{"op": "add", "path": "/name/-", "value": {"text": name}}] for name in names]
    answers = await asyncio.gather(*(admin.patch("/fhir/Patient/p", operations) for operations in added))
    assert [answer.status_code for answer in answers] == [200] * 8
    stored = (await admin.get("/fhir/Patient/p")).json()
    assert {name["text"] for name in stored["name"]} == {"张三", *names}


async def test_a_patch_is_audited_as_one(admin: Client) -> None:
    await admin.put(patient("p"))
    await admin.patch("/fhir/Patient/p", [replaced("/gender", "other")])
    found = (await admin.get("/fhir/AuditEvent?subtype=patch&entity=Patient/p")).json()
    assert [(e["resource"]["action"], e["resource"]["outcome"]) for e in found["entry"]] == [("U", "0")]


async def test_a_patch_is_kept_as_an_update_would_be(admin: Client) -> None:
    """References to this server's own resources are relative; profiles that the outcome names are asked; the history says PATCH."""
    await admin.put(observation("o", "p"))
    own = {"reference": "http://hub/fhir/Encounter/e"}
    answer = await admin.patch("/fhir/Observation/o", [{"op": "add", "path": "/encounter", "value": own}])
    assert answer.json()["encounter"] == {"reference": "Encounter/e"}
    weight = "http://hl7.org/fhir/StructureDefinition/bodyweight"
    answer = await admin.patch("/fhir/Observation/o", [{"op": "add", "path": "/meta/profile", "value": [weight]}])
    assert answer.status_code == 422
    assert any("Observation.category" in issue["expression"][0] for issue in answer.json()["issue"])
    history = (await admin.get("/fhir/Observation/o/_history")).json()["entry"]
    assert [entry["request"] for entry in history] == [
        {"method": "PATCH", "url": "Observation/o"},
        {"method": "PUT", "url": "Observation/o"},
    ]
    assert history[0]["response"]["status"] == "200 OK"


async def test_a_json_patch_may_begin_with_a_byte_order_mark(admin: Client) -> None:
    await admin.put(patient("p"))
    marked = b'\xef\xbb\xbf[{"op":"remove","path":"/gender"}]'
    assert (await admin.http.patch("/fhir/Patient/p", content=marked, headers=JSON_PATCH)).status_code == 200
    answer = await admin.http.patch("/fhir/Patient/p", content=b"[{]", headers=JSON_PATCH)
    assert "line 1, column 3" in answer.json()["issue"][0]["diagnostics"]
