"""GraphQL over a record. https://hl7.org/fhir/R4/graphql.html"""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from graphql import build_client_schema, get_introspection_query, parse, validate_schema
from graphql import validate as validate_query

from tests.hub.api.county import Client, Served, observation, patient
from tests.hub.graphql.record import ask, data, result, stored

pytestmark = pytest.mark.anyio


async def test_fields_of_one_resource(admin: Client) -> None:
    await stored(admin)
    query = "{ resourceType id birthDate name { use text given } }"
    answer = await admin.get(f"/fhir/Patient/zhang/$graphql?query={quote(query)}")
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["data"] == {
        "resourceType": "Patient",
        "id": "zhang",
        "birthDate": "1960-05-01",
        "name": [
            {"use": "official", "text": "张三", "given": ["三"]},
            {"use": "nickname", "text": "小三", "given": ["小三", "阿三"]},
        ],
    }


async def test_a_number_goes_out_as_it_was_spelled(admin: Client) -> None:
    await stored(admin)
    answer = await ask(admin, "{ valueQuantity { value unit } }", "Observation/k1")
    assert '"value":1.5' in answer.text.replace(" ", "")


async def test_a_person_with_results_in_one_query(admin: Client) -> None:
    await stored(admin)
    found = await data(
        admin,
        """query Record($id: ID!, $code: String = "http://loinc.org|2345-7") {
             person: Patient(id: $id) {
               ...Head
               results: ObservationList(_reference: patient, code: $code, _sort: "date", _count: 2) {
                 id
                 subject { resource(type: Patient) { ... on Patient { id } ... on Group { quantity } } }
               }
             }
           }
           fragment Head on Patient { id __typename gender ... on DomainResource { implicitRules } ... on Group { actual } }""",
        id="zhang",
    )
    subject = {"resource": {"id": "zhang"}}
    results = [{"id": "k1", "subject": subject}, {"id": "k2", "subject": subject}]
    assert found == {"person": {"id": "zhang", "__typename": "Patient", "gender": "male", "results": results}}


async def test_a_search_at_the_root_with_names_as_graphql_has_them(admin: Client) -> None:
    await stored(admin)
    found = await data(admin, '{ ObservationList(value_quantity: "gt2", date: ["2024-01-03", "2024-01-09"]) { id } }')
    assert found == {"ObservationList": [{"id": "k3"}]}


async def test_paging_a_connection_by_cursor(admin: Client) -> None:
    await stored(admin)
    query = """query Page($cursor: String) {
      ObservationConnection(patient: "zhang", _sort: "_id", _count: 2, _cursor: $cursor) {
        count pagesize first next edges { mode resource { id } }
      }
    }"""
    pages, cursor = [], None
    while cursor is not None or not pages:
        page = (await data(admin, query, cursor=cursor))["ObservationConnection"]
        pages.append([edge["resource"]["id"] for edge in page["edges"]])
        cursor = page["next"]
    assert pages == [["k1", "k2"], ["k3", "text"]]
    assert (page["count"], page["pagesize"], page["edges"][0]["mode"]) == (4, 2, "match")
    again = (await data(admin, query, cursor=page["first"]))["ObservationConnection"]
    assert again["edges"][0]["resource"]["id"] == "k1"


async def test_a_cursor_is_good_for_its_search_and_its_caller_only(hub: Served, admin: Client) -> None:
    await stored(admin)
    page = '{ ObservationConnection(patient: "zhang", _count: 1) { next } }'
    cursor = (await data(admin, page))["ObservationConnection"]["next"]
    follow = "query($c: String) { ObservationConnection(patient: %s, _count: 1, _cursor: $c) { next } }"
    assert (await ask(admin, follow % '"zhang"', c=cursor)).status_code == 200
    assert (await ask(admin, follow % '"other"', c=cursor)).status_code == 400
    other = hub.client("clinician", "CTY")
    assert (await ask(other, follow % '"zhang"', c=cursor)).status_code == 400
    assert (await ask(admin, follow % '"zhang"', c="bm90aGluZw==")).status_code == 400


ARGUMENTS = (
    ('name(use: "official") { text }', {"name": [{"text": "张三"}]}),
    ("name(use: nickname) { text }", {"name": [{"text": "小三"}]}),
    ("telecom(rank: 1) { value }", {"telecom": [{"value": "13800000001"}]}),
    ("telecom(fhirpath: \"system = 'email'\") { value }", {"telecom": [{"value": "z@example.com"}]}),
    ("name(_offset: 1, _count: 5) { text }", {"name": [{"text": "小三"}]}),
    ("name(_count: 0) { text }", {}),
    ('name(use: "none") { text }', {}),
    ("_birthDate { extension { valueDateTime } }", {"_birthDate": {"extension": [{"valueDateTime": "1960-05-01"}]}}),
    ("managingOrganization { resource { ... on Organization { name } } }",
     {"managingOrganization": {"resource": {"name": "示范县人民医院"}}}),
    ("managingOrganization { resource(type: Practitioner) { id } }", {"managingOrganization": {}}),
)  # fmt: skip


async def test_arguments_of_fields(admin: Client) -> None:
    await stored(admin)
    for field, found in ARGUMENTS:
        assert await data(admin, "{ %s }" % field, "Patient/zhang") == found, field  # noqa: UP031  braces of GraphQL


DIRECTIVES = (
    ("name @flatten { given }", {"given": ["三", "小三", "阿三"]}),
    ("name @flatten { text @singleton }", {"text": None}),
    ("name @first @flatten { text @singleton }", {"text": "张三"}),
    ("name @first { text }", {"name": [{"text": "张三"}]}),
    ("name @first @singleton { text }", {"name": {"text": "张三"}}),
    ("telecom @slice(path: \"system\") { rank value }",
     {"telecom.phone": {"rank": 1, "value": "13800000001"}, "telecom.email": {"value": "z@example.com"}}),
    ("telecom @slice(path: \"$index\") @flatten { value }", {"value.0": "13800000001", "value.1": "z@example.com"}),
    ("id name @skip(if: true) { text } gender @include(if: false)", {"id": "zhang"}),
)  # fmt: skip


async def test_directives(admin: Client) -> None:
    await stored(admin)
    for field, found in DIRECTIVES:
        answer = await ask(admin, "{ %s }" % field, "Patient/zhang")  # noqa: UP031
        assert answer.json().get("data") == found, field


async def test_a_choice_by_its_type_and_by_its_name(admin: Client) -> None:
    await stored(admin)
    query = "{ value { ... on Quantity { unit } } valueQuantity { code } }"
    assert await data(admin, query, "Observation/k1") == {"value": {"unit": "mmol/L"}, "valueQuantity": {"code": "mmol/L"}}
    assert await data(admin, "{ value }", "Observation/text") == {"value": "阴性"}


async def test_references_that_lead_nowhere(admin: Client) -> None:
    await stored(admin)
    lost = result("k4", 1, hasMember=[{"reference": "Observation/none"}, {"reference": "#inside"}, {"display": "口头"}])
    lost["contained"] = [{"resourceType": "Observation", "id": "inside", "status": "final", "code": {"text": "内"}}]
    assert (await admin.put(lost)).status_code == 201
    query = "{ hasMember { display resource%s { ... on Observation { id } } } }"
    half = (await ask(admin, query % "", "Observation/k4")).json()
    assert [error["path"] for error in half["errors"]] == [["hasMember", 0, "resource"], ["hasMember", 2, "resource"]]
    assert half["data"]["hasMember"] == [{"resource": None}, {"resource": {"id": "inside"}}, {"display": "口头", "resource": None}]
    found = await data(admin, query % "(optional: true)", "Observation/k4")
    assert found == {"hasMember": [{}, {"resource": {"id": "inside"}}, {"display": "口头"}]}


async def test_what_is_asked_twice_is_answered_together(admin: Client) -> None:
    await stored(admin)
    query = """{ name { use } ...More name(use: official) @flatten { family } ...More }
               fragment More on Patient { name { text } id given: name { given } }"""
    names = [{"use": "official", "text": "张三"}, {"use": "nickname", "text": "小三"}]
    given = [{"given": ["三"]}, {"given": ["小三", "阿三"]}]
    assert await data(admin, query, "Patient/zhang") == {"name": names, "id": "zhang", "given": given, "family": ["张"]}


async def test_what_fails_is_null_and_the_rest_is_answered(hub: Served, admin: Client) -> None:
    await stored(admin)
    query = """query($none: String) {
               here: Patient(id: "zhang") { id ObservationList(_reference: subject, code: $none, date: "x") { id } }
               gone: Patient(id: "none") { id }  empty: PatientList(name: $none, _count: 0) { id }  __typename }"""
    answer = await ask(admin, query)
    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "here": {"id": "zhang", "ObservationList": None},
        "gone": None,
        "empty": [],
        "__typename": "Query",
    }
    errors = answer.json()["errors"]
    assert [(error["path"], error["extensions"]["code"]) for error in errors] == [
        (["here", "ObservationList"], "invalid"),
        (["gone"], "not-found"),
    ]
    reader = hub.client("reader", "CTY")
    answer = await ask(reader, "{ PatientList { id } ConditionList { id } }")
    assert (answer.status_code, answer.json()["data"]["ConditionList"]) == (200, None)
    assert answer.json()["errors"][0]["extensions"]["code"] == "forbidden"


async def test_a_tool_learns_the_schema(hub: Served, admin: Client) -> None:
    """It asks as GraphiQL does, and makes of the answer a schema that is valid and on which our queries are valid."""
    answer = await ask(admin, get_introspection_query())
    assert answer.status_code == 200
    schema = build_client_schema(answer.json()["data"])
    assert not validate_schema(schema)
    queries = (
        '{ PatientList(name: "x") { id name(use: official) @flatten { text } contact { name { family } } __typename } }',
        """query($id: ID!) { Patient(id: $id) {
             ObservationConnection(_reference: "subject") { count offset edges { mode score resource { id } } } } }""",
        "{ ObservationList { subject { resource(optional: true) { id ... on Patient { birthDate _birthDate { id } } } } } }",
    )
    for query in queries:
        assert not validate_query(schema, parse(query)), query
        assert (await ask(admin, query, id="none")).status_code in (200, 404)
    reader = hub.client("reader", "CTY")
    shown = (await data(reader, "{ __schema { queryType { name } types { name kind } } }"))["__schema"]
    names = {type["name"] for type in shown["types"]}
    assert {"Patient", "Observation", "PatientContact", "Resource"} <= names
    assert not {"Condition", "ConditionConnection", "AuditEvent"} & names
    assert await data(reader, '{ __type(name: "Condition") { name } }') == {"__type": None}


# -- the door


async def test_no_hop_leads_to_what_the_caller_may_not_see(hub: Served, admin: Client) -> None:
    """Read, search, connection, reverse list and reference: another facility's record is answered like one that never was."""
    county, town = hub.client("system", "CTY"), hub.client("clinician", "TWN")
    await county.put(patient("theirs"))
    await county.put(observation("secret", "theirs"))
    await town.put(patient("ours"))
    pointing = observation("pointing", "ours", hasMember=[{"reference": "Observation/secret"}])
    assert (await town.put(pointing)).status_code == 201
    assert (await ask(town, '{ Patient(id: "theirs") { id } }')).status_code == 404
    assert (await ask(town, "{ id }", "Patient/theirs")).status_code == 404
    unknown = (await ask(town, '{ Patient(id: "never") { id } }')).json()["errors"][0]["message"]
    assert (await ask(town, '{ Patient(id: "theirs") { id } }')).json()["errors"][0]["message"] == unknown
    found = await data(
        town,
        """{ PatientList { id ObservationList(_reference: subject) { id hasMember { resource(optional: true) { id } } } }
             ObservationConnection { count edges { resource { id } } } }""",
    )
    assert found["PatientList"] == [{"id": "ours", "ObservationList": [{"id": "pointing", "hasMember": [{}]}]}]
    assert found["ObservationConnection"] == {"count": 1, "edges": [{"resource": {"id": "pointing"}}]}
    helper = hub.client("it")
    assert (await ask(helper, "{ PatientList { id } }")).status_code == 403
    assert (await ask(hub.bearer(""), "{ PatientList { id } }")).status_code == 401


async def test_a_query_leaves_one_event_that_names_the_patients(admin: Client) -> None:
    await stored(admin)
    await data(admin, '{ ObservationList(patient: "zhang") { id } }')
    events = [entry["resource"] for entry in (await admin.get("/fhir/AuditEvent?_count=20")).json()["entry"]]
    asked = [event for event in events if "operation" in str(event.get("subtype"))]
    assert len(asked) == 1
    assert "Patient/zhang" in str(asked[0]["entity"])


# -- what is refused


REFUSED = (
    ("{ PatientList { id }", 400, "invalid"),
    ("", 400, "invalid"),
    ("mutation { PatientDelete(id: 1) { id } }", 400, "not-supported"),
    ("{ Patient { id } }", 400, "invalid"),
    ("{ PatientList { nonsense } }", 400, "invalid"),
    ("{ Nonsense(id: 1) { id } }", 400, "invalid"),
    ("{ PatientList { name } }", 400, "invalid"),
    ("{ PatientList { id { value } } }", 400, "invalid"),
    ('{ PatientList(colour: "red") { id } }', 400, None),
    ('{ PatientList(_include: "Patient:organization") { id } }', 400, "invalid"),
    ("{ PatientList(_reference: patient) { id } }", 400, "invalid"),
    ("{ PatientList { ObservationList { id } } }", 400, "invalid"),
    ("{ PatientList { ...Missing } }", 400, "invalid"),
    ("{ PatientList { ...Round } } fragment Round on Patient { link { other { resource { ...Round } } } }", 400, "invalid"),
    ("{ PatientList(name: \"nobody\") { nonsense } }", 400, "invalid"),
    ("{ PatientList { name(colour: \"red\") { text } } }", 400, "invalid"),
    ("{ PatientList { ... on Nonsense { id } } }", 400, "invalid"),
    ("{ PatientList { x: id x: gender } }", 400, "invalid"),
    ("query($n: Int = \"a\") { PatientList(_count: $n) { id } }", 400, "invalid"),
    ("query($id: ID!) { Patient(id: $id) { id } }", 400, "invalid"),
    ("{ Patient(id: $id) { id } }", 400, "invalid"),
    ("{ PatientList @unknown { id } }", 400, "invalid"),
    ("{ PatientList @include(if: \"yes\") { id } }", 400, "invalid"),
    ("query A { PatientList { id } } query B { PatientList { id } }", 400, "invalid"),
    ("{" + "a" * 10 + " " * 5 + "b " * 6_000 + "}", 400, "too-costly"),
    ("{ __schema { nonsense } }", 400, "invalid"),
    ('{ Patient(id: "none") { id } }', 404, "not-found"),
)  # fmt: skip


async def test_queries_that_cannot_be_answered(admin: Client) -> None:
    await stored(admin)
    for query, status, code in REFUSED:
        answer = await ask(admin, query)
        assert answer.status_code == status, query
        error = answer.json()["errors"][0]
        assert code in (None, error["extensions"]["code"]), query
        assert error["extensions"]["resource"]["resourceType"] == "OperationOutcome"
        assert not any((answer.json().get("data") or {}).values()), query


NOT_FOLLOWED = (
    "name: ObservationList(_reference: code)",
    "name: ObservationList(_reference: nonsense)",
    'name(fhirpath: "((")',
    "name(fhirpath: \"text.matches('(a+)+$')\")",
    "name(_count: -1)",
    'name @slice(path: "((")',
)


async def test_a_field_that_cannot_be_followed_is_null(admin: Client) -> None:
    await stored(admin)
    for field in NOT_FOLLOWED:
        answer = (await ask(admin, '{ Patient(id: "zhang") { id %s { id } } }' % field)).json()  # noqa: UP031
        assert answer["data"]["Patient"] == {"id": "zhang", "name": None}, field
        assert answer["errors"][0]["extensions"]["code"] == "invalid", field


async def test_a_query_nested_without_end_is_stopped(admin: Client) -> None:
    await stored(admin)
    there, back = "ObservationList(_reference: subject) { subject { resource { ... on Patient { ", "} } } }"
    answer = await ask(admin, '{ Patient(id: "zhang") { ' + there * 12 + "id " + back * 12 + "} }")
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "too-costly")
    wide = " ".join(f"a{n}: ObservationList(_count: 500) {{ id }}" for n in range(300))
    answer = await ask(admin, "{ %s }" % wide)  # noqa: UP031
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "too-costly")


async def test_ways_to_send_a_query(admin: Client) -> None:
    await stored(admin)
    several = "query A($id: ID!) { Patient(id: $id) { id } } query B { PatientList { id } }"
    body = {"query": several, "operationName": "A", "variables": {"id": "zhang"}}
    assert (await admin.http.post("/fhir/$graphql", json=body)).json() == {"data": {"Patient": {"id": "zhang"}}}
    plain = await admin.http.post("/fhir/Patient/zhang/$graphql", content="{ id }", headers={"content-type": "application/graphql"})
    assert plain.json() == {"data": {"id": "zhang"}}
    fhir = {"resourceType": "Parameters", "parameter": [{"name": "query", "valueString": "{ id }"}]}
    assert (await admin.post(fhir, "/fhir/Patient/zhang/$graphql")).json() == {"data": {"id": "zhang"}}
    query = quote("query($id: ID!) { Patient(id: $id) { id } }")
    variables = quote(json.dumps({"id": "zhang"}))
    assert (await admin.get(f"/fhir/$graphql?query={query}&variables={variables}")).status_code == 200
    for content, kind, status in (("[]", "application/json", 400), ("{", "application/json", 400), ("{ id }", "text/plain", 415)):
        assert (await admin.http.post("/fhir/$graphql", content=content, headers={"content-type": kind})).status_code == status
