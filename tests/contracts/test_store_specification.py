"""What the standard says of each search feature, asked of every store as it would stand in a URL.

https://hl7.org/fhir/R4/search.html https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import parse_qsl

import pytest

from hub.errors import HubError, Kind
from hub.search.parse import parse_search
from hub.security.reads import Reads
from hub.store.port import EVERYTHING, Key, Scope
from hub.terminology.service import Terminology

NOW = 1_720_000_000_000
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
DISEASES = "urn:county:diseases"
ID_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


def _is(system, code, display=""):
    return {"coding": [{"system": system, "code": code, **({"display": display} if display else {})}]}


def _to(reference, **more):
    return {"reference": reference, **more}


def _amount(value, unit, system=UCUM):
    return {"value": Decimal(value), **({"system": system, "code": unit} if system else {"unit": unit})}


def _div(text):
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'}


# Characters that are read differently as a surname.
SURNAMES = {"zeng": "曾", "qiuw": "仇", "zha": "查", "xie": "解", "shan": "单", "ou": "区", "piao": "朴"}

RESOURCES = {
    "Organization/county": {"name": "County Hospital"},
    "Organization/town": {"name": "Town Clinic", "partOf": _to("Organization/county")},
    "Location/building": {"name": "Building", "position": {"latitude": Decimal("31.2"), "longitude": Decimal("121.5")}},
    "Location/ward": {"name": "Ward", "partOf": _to("Location/building"), "managingOrganization": _to("Organization/county")},
    "Location/bed": {"name": "Bed 3", "partOf": _to("Location/ward")},
    "Location/east": {"name": "East", "position": {"latitude": Decimal("-17.8"), "longitude": Decimal("-179.9")}},
    "Patient/ou": {
        "name": [{"text": "欧阳锋"}],
        "gender": "male",
        "birthDate": "1970-03-05",
        "active": True,
        "identifier": [{"type": _is(ID_TYPES, "MR"), "system": "urn:mrn", "value": "Z9"}],
        "managingOrganization": _to("Organization/town"),
        "text": _div("Seen for <b>Fièvre</b> and cough"),
    },
    "Patient/mu": {
        "name": [{"family": "Müller", "given": ["Eva", "Maria"]}],
        "gender": "female",
        "birthDate": "1970-03",
        "identifier": [{"type": _is(ID_TYPES, "SS"), "value": "Z9"}],
    },
    "Patient/zeng": {"name": [{"text": "曾小乐"}], "managingOrganization": _to("Organization/county")},
    "Practitioner/qiu": {"name": [{"family": "仇", "given": ["英"]}]},
    **{f"Practitioner/{reading}": {"name": [{"text": f"{surname}伟"}]} for reading, surname in SURNAMES.items()},
    "Encounter/in": {
        "status": "finished",
        "class": {"code": "IMP"},
        "subject": _to("Patient/ou"),
        "location": [{"location": _to("Location/bed")}],
        "period": {"start": "2024-01-05", "end": "2024-01-07"},
    },
    "Encounter/out": {
        "status": "planned",
        "class": {"code": "AMB"},
        "subject": _to("Patient/mu"),
        "location": [{"location": _to("Location/building")}],
    },
    "Observation/glucose": {
        "status": "final",
        "code": {**_is(LOINC, "15074-8", "Glucose [Moles/volume] in Blood"), "text": "血糖"},
        "subject": _to("Patient/ou", identifier={"system": "urn:mrn", "value": "Z9"}),
        "encounter": _to("Encounter/in"),
        "effectiveDateTime": "2024-01-06T08:00:00+08:00",
        "valueQuantity": _amount("5.4", "mmol/L"),
    },
    "Observation/again": {
        "status": "amended",
        "code": _is(LOINC, "15074-8"),
        "subject": _to("Patient/mu"),
        "effectivePeriod": {"start": "2024-01-06", "end": "2024-02-01"},
        "valueQuantity": _amount("5400", "umol/L"),
        "derivedFrom": [_to("Observation/glucose")],
    },
    "Observation/pressure": {
        "status": "final",
        "code": _is(LOINC, "85354-9"),
        "subject": _to("Patient/mu"),
        "component": [
            {"code": _is(LOINC, "8480-6"), "valueQuantity": _amount("140", "mm[Hg]")},
            {"code": _is(LOINC, "8462-4"), "valueQuantity": _amount("90", "mm[Hg]")},
        ],
    },
    "Observation/summary": {"status": "final", "code": _is(LOINC, "x"), "derivedFrom": [_to("Observation/again")]},
    "Condition/diabetes": {
        "code": _is(DISEASES, "E11"),
        "subject": _to("Patient/ou"),
        "encounter": _to("Encounter/in"),
        "clinicalStatus": _is("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        "onsetRange": {"low": _amount("40", "a"), "high": _amount("50", "a")},
    },
    "Condition/foot": {
        "code": _is(DISEASES, "E11.5"),
        "subject": _to("Patient/mu"),
        "clinicalStatus": _is("http://terminology.hl7.org/CodeSystem/condition-clinical", "resolved"),
        "onsetAge": _amount("45", "a"),
    },
    "Condition/cold": {"code": _is(DISEASES, "J00"), "subject": _to("Patient/mu")},
    "RiskAssessment/between": {
        "status": "final",
        "subject": _to("Patient/zeng"),
        "prediction": [{"probabilityRange": {"low": {"value": Decimal(20)}, "high": {"value": Decimal(60)}}}],
    },
    "RiskAssessment/low": {
        "status": "final",
        "subject": _to("Patient/ou"),
        "prediction": [{"probabilityDecimal": Decimal("0.05")}],
    },
    "AuditEvent/read": {  # stands beside others only where it is named
        "type": {"code": "rest"},
        "recorded": "2024-01-01T00:00:00Z",
        "agent": [{"requestor": True}],
        "source": {"observer": {"display": "x"}},
        "entity": [{"what": _to("Patient/mu")}],
    },
    "Group/study": {"type": "person", "actual": True, "member": [{"entity": _to("Patient/mu")}]},
    "List/round": {
        "status": "current",
        "mode": "working",
        "entry": [{"item": _to("Patient/ou")}, {"item": _to("Patient/mu"), "deleted": True}, {"item": _to("Encounter/in")}],
    },
    "CodeSystem/diseases": {
        "url": DISEASES,
        "status": "active",
        "content": "complete",
        "hierarchyMeaning": "is-a",
        "concept": [{"code": "E11", "concept": [{"code": "E11.5", "concept": [{"code": "E11.51"}]}]}, {"code": "J00"}],
    },
    "ValueSet/chronic": {
        "url": "urn:county:chronic",
        "status": "active",
        "compose": {"include": [{"system": DISEASES, "filter": [{"property": "concept", "op": "is-a", "value": "E11"}]}]},
        "useContext": [],
    },
    "Questionnaire/first": {"status": "retired", "url": "http://a.cn/q", "version": "1.0", "title": "Diet"},
    "Questionnaire/second": {"status": "active", "url": "http://a.cn/q", "version": "2.0", "title": "Diet again"},
    "QuestionnaireResponse/any": {"status": "completed", "questionnaire": "http://a.cn/q", "subject": _to("Patient/zeng")},
    "QuestionnaireResponse/one": {"status": "completed", "questionnaire": "http://a.cn/q|1", "subject": _to("Patient/zeng")},
    "QuestionnaireResponse/two": {"status": "amended", "questionnaire": "http://a.cn/q|2.0"},
    "PlanDefinition/old": {"status": "active", "url": "http://a.cn/plan", "library": ["http://a.cn/lib|1.0.2"]},
    "PlanDefinition/new": {"status": "active", "url": "http://a.cn/plan/sub", "library": ["http://a.cn/lib|2.0"]},
}


@pytest.fixture(scope="module")
def reads(shared_store):
    def fill(transaction):
        for name, resource in RESOURCES.items():
            kind, _, id = name.partition("/")
            transaction.save({"resourceType": kind, **{name: value for name, value in resource.items() if value != []}}, id=id)

    shared_store.write(fill).result(60)
    return Reads(shared_store, EVERYTHING, concepts=Terminology(shared_store))


def page(reads, url):
    kind, _, query = url.partition("?")
    return reads.search(parse_search(kind, parse_qsl(query.replace("+", "%2B"), keep_blank_values=True), now=NOW).query)


def found(reads, url):
    return {version.id for version in page(reads, url).matches}


ASKED = {
    # 3.1.1.4.5 prefixes, 3.1.1.4.8 dates: the range asked contains the range that is there
    "Patient?birthdate=1970": "ou mu",
    "Patient?birthdate=1970-03-05": "ou",
    "Patient?birthdate=ne1970-03-05": "mu",
    "Patient?birthdate=gt1970-03-05": "mu",  # part of March lies behind
    "Patient?birthdate=sa1970-03-05": "",
    "Patient?birthdate=ge1970-03-05": "ou mu",
    "Patient?birthdate=eb1970-04": "ou mu",
    "Observation?date=2024-01": "glucose",
    "Observation?date=ap2024-01-20": "glucose again",
    "Observation?date=lt2024-01-06T08:00:00%2B08:00": "again",
    "Encounter?date=ge2024-01-06": "in",
    "Encounter?date=sa2024-01-04&date=eb2024-01-08": "in",
    # 3.1.1.4.7 numbers with implicit precision
    "RiskAssessment?probability=0.05": "low",
    "RiskAssessment?probability=0.050": "low",
    "RiskAssessment?probability=0.2": "",
    "RiskAssessment?probability=gt0.04&probability=lt6e-2": "low",
    # … and ranges, by both of their ends
    "RiskAssessment?probability=40": "",
    "RiskAssessment?probability=ne40": "low between",
    "RiskAssessment?probability=gt50": "between",
    "RiskAssessment?probability=lt30": "low between",
    "RiskAssessment?probability=sa10": "between",
    "RiskAssessment?probability=sa30": "",
    "RiskAssessment?probability=eb50": "low",
    "RiskAssessment?probability=ap60": "between",
    "RiskAssessment?probability=4e1": "",  # from 35 to 45
    f"Condition?onset-age=45|{UCUM}|a": "foot",
    f"Condition?onset-age=gt48|{UCUM}|a": "diabetes",
    f"Condition?onset-age=eb576|{UCUM}|mo": "foot",  # 48 years
    f"Condition?onset-age=ge45|{UCUM}|a": "foot diabetes",
    # 3.1.1.4.9 strings, 3.1.1.4.4 modifiers
    "Patient?name=muller": "mu",
    "Patient?name=欧阳": "ou",
    "Patient?name:contains=阳": "ou",
    "Patient?family:exact=Muller": "",
    "Patient?family:exact=Müller": "mu",
    "Patient?given=maria": "mu",
    "Patient?pinyin=zengxiaole": "zeng",
    "Patient?pinyin=zxl": "zeng",
    "Patient?pinyin=ouy": "ou",
    "Practitioner?pinyin=qiuying": "qiu",
    "Practitioner?pinyin=qiuwei": "qiuw",
    "Practitioner?pinyin=qw": "qiuw",
    **{f"Practitioner?pinyin={reading}wei": reading for reading in ("zeng", "zha", "xie", "shan", "ou", "piao")},
    "Practitioner?pinyin=chawei,jiewei,danwei,quwei,puwei,chouwei,cengwei": "",
    "Practitioner?name=区": "ou",
    "Patient?birthdate:missing=true": "zeng",
    "Patient?birthdate:missing=false&gender:missing=false": "ou mu",
    # 3.1.1.4.10 tokens
    f"Observation?code={LOINC}|15074-8": "glucose again",
    "Observation?code:text=血": "glucose",
    "Observation?code:text=glucose": "glucose",
    "Observation?status:not=final": "again",
    "Observation?code:not=15074-8,85354-9": "summary",
    "Patient?gender:not=male": "mu zeng",  # who has none is not male either
    f"Patient?identifier:of-type={ID_TYPES}|MR|z9": "ou",
    f"Patient?identifier:of-type={ID_TYPES}|SS|Z9": "mu",
    "Patient?identifier=|Z9": "mu",
    f"Condition?code:below={DISEASES}|E11": "diabetes foot",
    f"Condition?code:above={DISEASES}|E11.51": "diabetes foot",
    f"Condition?code:above={DISEASES}|E11": "diabetes",
    "Condition?code:in=urn:county:chronic": "diabetes foot",
    "Condition?code:in=ValueSet/chronic": "diabetes foot",
    "Condition?code:not-in=urn:county:chronic": "cold",
    # 3.1.1.4.11 quantities, through the units
    f"Observation?value-quantity=5.4|{UCUM}|mmol/L": "glucose again",
    f"Observation?value-quantity=5400|{UCUM}|umol/L": "glucose again",
    f"Observation?value-quantity=gt5.4|{UCUM}|mmol/L": "",
    f"Observation?value-quantity=lt0.006|{UCUM}|mol/L": "glucose again",
    f"Observation?value-quantity=5.4|{UCUM}|mg/dL": "",
    "Observation?value-quantity=5.4": "glucose",
    # 3.1.1.4.12 references
    "Observation?subject=Patient/ou": "glucose",
    "Observation?subject:Patient=mu": "again pressure",
    "Observation?subject:identifier=urn:mrn|Z9": "glucose",
    "Encounter?location:below=Location/building": "in out",
    "Encounter?location:below=Location/ward": "in",
    "Encounter?location:above=Location/bed": "in out",
    "Location?partof:below=Location/building": "ward bed",
    "PlanDefinition?depends-on:below=http://a.cn/lib|1": "old",
    "PlanDefinition?depends-on:below=http://a.cn/lib": "old new",
    "PlanDefinition?depends-on:above=http://a.cn/lib|2.0.1": "new",
    # 3.1.1.4.13 URIs
    "PlanDefinition?url:below=http://a.cn/plan": "old new",
    "PlanDefinition?url:above=http://a.cn/plan/sub/x": "old new",
    # 3.1.1.4.14 composites
    f"Observation?code-value-quantity={LOINC}|15074-8$gt5": "glucose again",
    f"Observation?code-value-quantity={LOINC}|15074-8$5.4|{UCUM}|mmol/L": "glucose again",
    "Observation?component-code-value-quantity=8480-6$lt100": "",
    f"Observation?component-code-value-quantity=8480-6$140|{UCUM}|mm[Hg]": "pressure",
    "Observation?combo-code=8480-6": "pressure",
    "Observation?code=8480-6": "",
    # 3.1.1.4.17 chains, 3.1.1.4.18 _has
    "Observation?subject:Patient.name=欧阳": "glucose",
    "Observation?subject.name=欧阳": "glucose",
    "Observation?encounter.location.name=bed": "glucose",
    "Observation?encounter.location.partof.organization.name=county": "glucose",
    "Observation?subject:Patient.organization.partof.name=county": "glucose",
    "Observation?subject:Patient.gender:not=male": "again pressure",
    "Patient?_has:Observation:patient:code=85354-9": "mu",
    "Patient?_has:Observation:patient:_has:Observation:derived-from:status=amended": "ou",
    "Patient?_has:Group:member:_id=study": "mu",
    "Encounter?subject._has:Group:member:_id=study": "out",
    "Patient?_has:Encounter:patient:location.name=bed": "ou",
    "Patient?_has:Observation:patient:date:missing=true": "mu",
    "Patient?_has:Encounter:patient:status=finished,planned&_has:Condition:patient:code=J00": "mu",
    # … along canonical references: what is meant is the URL, in the version that is stated
    "QuestionnaireResponse?questionnaire=http://a.cn/q": "any one two",
    "QuestionnaireResponse?questionnaire=http://a.cn/q|1": "one",
    "QuestionnaireResponse?questionnaire.title=diet": "any one two",
    "QuestionnaireResponse?questionnaire:Questionnaire.status=active": "any two",
    "QuestionnaireResponse?questionnaire.title=smoking": "",
    "QuestionnaireResponse?questionnaire.status:not=active&patient=Patient/zeng": "any one",
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=amended": "second",
    "Questionnaire?_has:QuestionnaireResponse:questionnaire:patient=Patient/zeng": "first second",
    "Patient?_has:QuestionnaireResponse:patient:questionnaire.status=retired": "zeng",
    # 3.1.1.4.15 special
    "Location?near=31.21|121.5|2|km": "building",
    "Location?near=31.21|121.5|900|m": "",
    "Location?near=31.21|121.5|1|[mi_us]": "building",
    "Location?near=-17.8|179.9|50": "east",  # over the date line
    "Patient?_text=fievre cough": "ou",
    "Patient?_text=cough headache": "",
    "Patient?_text=(headache OR fievre) and cough": "ou",
    "Patient?_text=(headache OR fievre) NOT cough": "",
    'Patient?_text="cough and"': "",
    'Patient?_text="FIÈVRE and"': "ou",
    "Patient?_content=eva": "mu",
    "Patient?_content=male NOT 欧": "mu",
    "Patient?_content=female OR 欧阳": "mu ou",
    "Patient?_content=曾": "zeng",
    "Patient?_list=round": "ou",
    "Observation?subject:Patient._list=round": "glucose",
    "Encounter?_list=List/round": "in",
    "Condition?_list=$current-problems": "diabetes",
    "Patient?_has:Condition:patient:_list=$current-problems": "ou",
    # search_filter.html
    'Patient?_filter=name co "LL"': "mu",
    'Patient?_filter=given eq "eva" and birthdate ge 1970-03-01': "mu",
    'Patient?_filter=given eq "ev"': "",
    'Patient?_filter=family ew "ER"': "mu",
    'Patient?_filter=name sw "欧" or gender eq female': "ou mu",
    "Patient?_filter=not (gender eq male)": "mu zeng",
    "Patient?_filter=gender ne male": "mu",
    "Patient?_filter=birthdate pr false": "zeng",
    "Patient?_filter=birthdate po 1970-03-05": "ou mu",
    'Observation?_filter=subject.name co "阳"': "glucose",
    'Observation?_filter=subject[gender eq "female"].birthdate le 1970-12': "again pressure",
    "Observation?_filter=derived-from re Observation/glucose": "again",
    f"Condition?_filter=code ss {DISEASES}|E11": "diabetes foot",
    f"Condition?_filter=code sb {DISEASES}|E11.5": "diabetes foot",
    "Condition?_filter=code in urn:county:chronic": "diabetes foot",
    "PlanDefinition?_filter=url ss http://a.cn/plan": "old new",
    "PlanDefinition?_filter=url sb http://a.cn/plan/sub and url ne http://a.cn/plan": "new",
    "Condition?_filter=code ni urn:county:chronic and subject pr true": "cold",
    "Observation?_filter=status eq final or status eq amended and code eq 15074-8": "glucose again",  # from left to right
    "Observation?_filter=status eq final or (status eq amended and code eq 15074-8)": "glucose again pressure summary",
    f"Observation?_filter=value-quantity lt 0.006|{UCUM}|mol/L and date sa 2024-01-05": "glucose again",
}


@pytest.mark.parametrize("url", ASKED)
def test_a_search_finds_what_the_standard_says(reads, url):
    assert found(reads, url) == set(ASKED[url].split())


BESIDE = {
    # 3.1.1.5.4 _include and _revinclude
    "Observation?_id=glucose&_include=Observation:subject": "Patient/ou",
    "Observation?_id=glucose&_include=Observation:subject:Group": "",
    "Observation?_id=glucose&_include=Observation:*": "Patient/ou Encounter/in",
    "Observation?_id=glucose&_include=*": "Patient/ou Encounter/in",
    "Observation?_id=summary&_include=Observation:derived-from": "Observation/again",
    "Observation?_id=summary&_include:iterate=Observation:derived-from": "Observation/again Observation/glucose",
    "Observation?_id=summary&_include:recurse=Observation:derived-from": "Observation/again Observation/glucose",
    "Encounter?_id=in&_include=Encounter:location&_include:iterate=Location:partof": "Location/bed Location/ward Location/building",
    "Patient?_id=mu&_revinclude=Observation:subject": "Observation/again Observation/pressure",
    "Patient?_id=ou&_revinclude=Encounter:*&_revinclude:iterate=Condition:encounter": "Encounter/in Condition/diabetes",
    "QuestionnaireResponse?_id=one&_include=QuestionnaireResponse:questionnaire": "Questionnaire/first",
    "QuestionnaireResponse?_id=any&_include=*": "Questionnaire/first Questionnaire/second Patient/zeng",
    "Questionnaire?_id=second&_revinclude=QuestionnaireResponse:questionnaire": (
        "QuestionnaireResponse/any QuestionnaireResponse/two"
    ),
    "Patient?_id=zeng&_revinclude=QuestionnaireResponse:subject&_include:iterate=QuestionnaireResponse:questionnaire": (
        "QuestionnaireResponse/any QuestionnaireResponse/one Questionnaire/first Questionnaire/second"
    ),
    "Group?_revinclude=AuditEvent:entity": "",
    "Patient?_id=mu&_revinclude=AuditEvent:entity": "AuditEvent/read",
    "Patient?_id=mu&_revinclude=*": (
        "Observation/again Observation/pressure Encounter/out Condition/foot Condition/cold Group/study List/round"
    ),
}


@pytest.mark.parametrize("url", BESIDE)
def test_beside_the_matches_stands_what_the_standard_says(reads, url):
    assert {f"{version.type}/{version.id}" for version in page(reads, url).included} == set(BESIDE[url].split())


@pytest.mark.parametrize(
    ("url", "order"),
    [
        ("Patient?_sort=birthdate,_id", ["mu", "ou", "zeng"]),  # who has no date comes last
        ("Patient?_sort=-birthdate,_id", ["ou", "mu", "zeng"]),
        ("Observation?_sort=-status,_id", ["glucose", "pressure", "summary", "again"]),
        ("Condition?_sort=subject,-code", ["cold", "foot", "diabetes"]),
    ],
)
def test_sorted_by_several_keys_nothing_is_lost(reads, url, order):
    assert [version.id for version in page(reads, url).matches] == order


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("Patient?_list=nobody", Kind.NOT_FOUND),
        ("Condition?code:in=urn:county:nothing", Kind.NOT_FOUND),
        ("Condition?code:in=ValueSet/nothing", Kind.NOT_FOUND),
        ("Condition?code:below=http://snomed.info/sct|73211009", Kind.NOT_FOUND),  # not loaded here
        ("Observation?subject:below=Patient/ou", Kind.INVALID),
    ],
)
def test_what_a_query_stands_for_must_be_there(reads, url, kind):
    with pytest.raises(HubError) as refused:
        found(reads, url)
    assert refused.value.reason is kind


def test_a_list_and_a_hierarchy_are_read_as_the_caller_may_see_them(reads, shared_store):
    def fill(transaction):
        mine = {"resourceType": "List", "status": "current", "mode": "working", "entry": [{"item": _to("Location/ward")}]}
        transaction.save(mine, id="theirs", facility="B")
        transaction.save({"resourceType": "Location", "name": "x", "partOf": _to("Location/ward")}, id="hidden", facility="B")

    shared_store.write(fill).result(30)
    of_a = Reads(shared_store, Scope(facility="A", types=None, shared_types=frozenset({"Location"}), now=NOW))
    with pytest.raises(HubError) as refused:
        found(of_a, "Location?_list=theirs")
    assert refused.value.reason is Kind.NOT_FOUND
    assert "ward" in found(reads, "Location?_list=theirs")
    assert found(of_a, "Location?partof:below=Location/building") >= {"ward", "bed"}


def test_the_criteria_of_a_conditional_interaction_look_only_at_what_the_caller_may_see(reads, shared_store):
    """Or whoever may write a record of their own could ask what stands in a stranger's."""
    of_b = Scope(facility="B", types=None, now=NOW)
    query = parse_search("Observation", [("subject:Patient._has:Condition:patient:code", "secret")], now=NOW).query

    def work(transaction):
        secret = {"resourceType": "Condition", "code": _is(DISEASES, "secret"), "subject": _to("Patient/ou")}
        transaction.save(secret, id="secret", facility="A")
        own = {"resourceType": "Observation", "status": "final", "code": _is(LOINC, "y"), "subject": _to("Patient/ou")}
        transaction.save(own, id="own", facility="B")
        found = [key.id for key in transaction.find(query, limit=10)], transaction.find(query, limit=10, scope=of_b)
        for kind, id in (("Condition", "secret"), ("Observation", "own")):
            transaction.delete(Key(kind, id))
        return found

    everything, seen_by_b = shared_store.write(work).result(30)
    assert "own" in everything
    assert seen_by_b == []
