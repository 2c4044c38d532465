"""A person's record from resources: who it is, what stands in which visit, what may be joined by a line."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from hub.records import labs
from hub.records.current import medicines, problems
from hub.records.documents import narrative, sections_of
from hub.records.find import criteria, number_forms
from hub.records.person import age_at, allergies_from, mask, name_of, person_from
from hub.records.reader import Found
from hub.records.studies import reports_on, studies
from hub.records.timeline import Record, story
from hub.records.trend import trend_svg
from profiles.names import GOLDEN, HUB_TAG, ID_CARD, LOINC, UCUM

TODAY = date(2026, 3, 10)


def found(resource, facility="CTY"):
    return Found(resource, facility)


@pytest.mark.parametrize(
    ("birth", "age"),
    [
        ("1968-03-12", (57, "year")),
        ("1968-03-10", (58, "year")),
        ("2024-03-11", (23, "month")),
        ("2024-03-10", (2, "year")),
        ("2026-02-01", (37, "day")),
        ("2026-03-10", (0, "day")),
        ("1968", (58, "year")),
        ("1968-04", (57, "year")),
        ("", None),
    ],
)
def test_ages_are_as_precise_as_the_birth_date(birth, age):
    assert age_at(birth, TODAY) == age


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ({"text": "曾晓燕"}, "曾晓燕"),
        ({"family": "欧阳", "given": ["雪梅"]}, "欧阳雪梅"),
        ({"family": "Smith", "given": ["John"]}, "Smith John"),
        ({}, ""),
    ],
)
def test_names_are_written_as_their_language_does(name, shown):
    assert name_of({"name": [name]}) == shown


def test_a_number_is_masked_and_a_short_one_left():
    assert mask("339900196803120120") == "3399**********0120"
    assert mask("C0001") == "C0001"


def test_the_golden_patient_gives_the_picture_and_the_facilities_stay():
    golden = {
        "resourceType": "Patient",
        "id": "g",
        "meta": {"tag": [{"system": HUB_TAG, "code": GOLDEN}]},
        "name": [{"text": "曾晓燕"}],
        "gender": "female",
    }
    local = {
        "resourceType": "Patient", "id": "a", "name": [{"text": "曾小燕"}], "birthDate": "1968-03-12",
        "identifier": [{"system": "urn:hub:CTY:patient", "value": "C1"}, {"system": ID_CARD, "value": "339900196803120120"}],
    }  # fmt: skip
    person = person_from([found(golden, ""), found(local)], "g", TODAY)
    assert person is not None
    assert (person.name, person.other_names, person.gender, person.birth_date) == ("曾晓燕", ("曾小燕",), "female", "1968-03-12")
    assert [(i.facility, i.number) for i in person.identities] == [("CTY", "C1")]
    assert person_from([], "g", TODAY) is None


def allergy(code, **more):
    return found({"resourceType": "AllergyIntolerance", "id": code, "code": {"coding": [{"code": code}], "text": code}, **more})


def test_allergies_nobody_recorded_none_known_and_listed_are_three_things():
    none_known = allergy("716186003")
    active = allergy("青霉素", criticality="high")
    resolved = allergy("虾", clinicalStatus={"coding": [{"code": "resolved"}]})
    error = allergy("磺胺", verificationStatus={"coding": [{"code": "entered-in-error"}]})
    assert allergies_from([]).state == "not-recorded"
    assert allergies_from([resolved, error]).state == "not-recorded"
    assert allergies_from([none_known]).state == "none-known"
    assert allergies_from([allergy("409137002")]).state == "no-drug"
    assert allergies_from([allergy("429625007"), allergy("no-allergy-info")]).state == "not-recorded"
    listed = allergies_from([none_known, allergy("花粉"), active, resolved, error])
    assert (listed.state, [a.text for a in listed.listed]) == ("listed", ["青霉素", "花粉"])


def observation(id, value, at, *, unit="mmol/L", code="K", loinc="2823-3", method="", facility="CTY", **more):
    codings = [{"system": f"urn:hub:{facility}:item", "code": code}, *([{"system": LOINC, "code": loinc}] if loinc else [])]
    resource = {
        "resourceType": "Observation", "id": id, "status": "final", "category": [{"coding": [{"code": "laboratory"}]}],
        "code": {"coding": codings, "text": "钾"}, "effectiveDateTime": at,
        "valueQuantity": {"value": Decimal(value), "unit": unit, "system": UCUM, "code": unit}, **more,
    }  # fmt: skip
    if method:
        resource["method"] = {"text": method}
    return found(resource, facility)


def test_one_test_under_two_local_codes_is_one_row_and_an_unmapped_one_its_own():
    rows = labs.tests(
        [
            observation("a", "4.10", "2026-03-01T08:00:00+08:00"),
            observation("b", "3.9", "2026-02-01T08:00:00+08:00", code="1001", facility="TCM"),
            observation("c", "1", "2026-02-01T08:00:00+08:00", code="X", loinc=""),
        ],
        (),
    )
    assert [(row.key, len(row.results)) for row in rows] == [(f"{LOINC}|2823-3", 2), ("urn:hub:CTY:item|X", 1)]
    assert [result.value for result in rows[0].results] == ["4.10", "3.9"]


def test_the_grid_holds_the_newest_collections_of_each_source():
    results = [observation(str(n), "4", f"2026-01-{n:02d}T08:00:00+08:00") for n in range(1, 10)]
    same_time = observation("other", "5", "2026-01-09T08:00:00+08:00", facility="TCM")
    grid = labs.grid([*results, same_time], ())
    assert len(grid.columns) == 6
    assert grid.more
    ((_, cells),) = grid.rows
    assert [(cell.facility, cell.at[8:10]) for cell in cells if cell][:3] == [("TCM", "09"), ("CTY", "09"), ("CTY", "08")]


def test_different_units_and_methods_are_never_one_line():
    (row,) = labs.tests(
        [
            observation("a", "4.1", "2026-03-01"),
            observation("b", "4.2", "2026-03-02"),
            observation("c", "16", "2026-03-03", unit="mg/dL"),
            observation("d", "4.3", "2026-03-04", method="ISE"),
            observation("e", "4.4", "2026-03"),
        ],
        (),
    )
    assert [(s.unit, s.method, [r.value for r in s.results]) for s in labs.series_of(row)] == [
        ("mmol/L", "", ["4.1", "4.2"]),
        ("mg/dL", "", ["16"]),
        ("mmol/L", "ISE", ["4.3"]),
    ]


def test_what_is_no_ucum_number_is_in_the_table_and_not_in_the_drawing():
    less = observation("a", "0.01", "2026-03-01")
    less.resource["valueQuantity"]["comparator"] = "<"
    words = found({**observation("b", "1", "2026-03-02").resource, "valueString": "见报告"})
    del words.resource["valueQuantity"]
    local = observation("c", "4", "2026-03-03")
    del local.resource["valueQuantity"]["system"]
    (row,) = labs.tests([less, words, local], ())
    assert [result.value for result in row.results] == ["4", "见报告", "<0.01"]
    assert labs.series_of(row) == ()


def test_a_drawing_holds_every_point_its_title_and_each_reference_band():
    stated = {"referenceRange": [{"low": {"value": Decimal("3.5")}, "high": {"value": Decimal("5.3")}}]}
    (row,) = labs.tests(
        [
            observation("a", "4.1", "2026-03-01T08:00:00+08:00", **stated),
            observation(
                "b", "5.9", "2026-03-02T08:00:00+08:00", facility="<b>", **stated, interpretation=[{"coding": [{"code": "H"}]}]
            ),
        ],
        (),
    )
    (series,) = labs.series_of(row)
    drawing = str(trend_svg(series, str, title='K "<"'))
    assert drawing.count("<title>") == 2
    assert drawing.count('class="band') == 1
    assert 'class="point out"' in drawing
    assert "<b>" not in drawing
    assert "style" not in drawing
    one = labs.tests([observation("a", "4.1", "2026-03-01")], ())[0]
    assert "polyline" not in trend_svg(labs.series_of(one)[0], str, title="K")


def test_visits_hold_what_names_them_and_nothing_is_guessed_into_one():
    encounter = {
        "resourceType": "Encounter",
        "id": "e",
        "status": "finished",
        "class": {"code": "IMP"},
        "period": {"start": "2026-03-01", "end": "2026-03-04"},
    }
    inside = {"encounter": {"reference": "Encounter/e"}}
    result = observation("o", "3.1", "2026-03-01", interpretation=[{"coding": [{"code": "L"}]}])
    record = Record(
        {
            "Encounter": (found(encounter), found({**encounter, "id": "wrong", "status": "entered-in-error"})),
            "Observation": (result, observation("loose", "4", "2026-02-01T08:00:00+08:00")),
            "DiagnosticReport": (
                found(
                    {
                        "resourceType": "DiagnosticReport",
                        "id": "r",
                        "status": "final",
                        "code": {"text": "生化"},
                        "effectiveDateTime": "2026-03-01",
                        "result": [{"reference": "Observation/o"}],
                        **inside,
                    }
                ),
                found(
                    {
                        "resourceType": "DiagnosticReport",
                        "id": "x",
                        "status": "final",
                        "code": {"text": "胸片"},
                        "imagingStudy": [{"reference": "ImagingStudy/s"}],
                        **inside,
                    }
                ),
            ),
            "ImagingStudy": (found({"resourceType": "ImagingStudy", "id": "s", "status": "available", "started": "2026-03-02"}),),
            "Condition": (found({"resourceType": "Condition", "id": "c", "code": {"text": "低钾血症"}, **inside}),),
        },
        (),
    )
    stay, loose = story(record, 2).visits
    assert (stay.id, stay.kind, stay.reason) == ("e", "inpatient", "低钾血症")
    assert {(event.kind, event.id) for event in stay.events} == {("report", "r"), ("image", "x"), ("diagnosis", "c")}
    report = next(event for event in stay.events if event.id == "r")
    assert (report.abnormal, report.detail) == (1, "钾 3.1 mmol/L ↓")
    assert (loose.id, loose.day, [event.id for event in loose.events]) == ("", "2026-02-01", ["loose"])


def test_a_document_and_the_file_it_came_from_are_one_event():
    when = "2026-03-01T08:00:00+08:00"
    composition = {"resourceType": "Composition", "id": "c", "status": "final", "title": "出院小结", "date": when}
    same_id = {"resourceType": "DocumentReference", "id": "d", "status": "current", "date": "2026-03-09T00:00:00Z"}
    record = Record(
        {
            "Composition": (found({**composition, "identifier": {"system": "urn:x", "value": "1"}}),),
            "DocumentReference": (
                found({**same_id, "masterIdentifier": {"system": "urn:x", "value": "1"}}),
                found({**same_id, "id": "e", "description": "出院小结", "date": "2026-03-01T00:00:00Z"}),
                found({**same_id, "id": "f", "description": "扫描件"}),
            ),
        },
        (),
    )
    assert {event.id for visit in story(record, 9).visits for event in visit.events} == {"c", "f"}


def test_a_long_record_is_told_by_the_page_and_its_pictures_beside_the_report_on_them():
    def visit(day):
        period = {"start": f"2026-01-{day:02d}"}
        return found(
            {"resourceType": "Encounter", "id": f"e{day}", "status": "finished", "class": {"code": "AMB"}, "period": period}
        )

    record = Record({"Encounter": tuple(visit(day) for day in range(1, 10))}, ())
    told = [story(record, count, most=4) for count in (3, 6, 1000)]
    assert [([v.day[8:] for v in s.visits], s.passed, s.more) for s in told] == [
        (["09", "08", "07"], 0, True),
        (["07", "06", "05", "04"], 2, True),
        (["04", "03", "02", "01"], 5, False),
    ]
    accession = {"type": {"coding": [{"code": "ACSN"}]}, "value": "A1"}
    pictures = [
        found({"resourceType": "ImagingStudy", "id": id, "started": f"2026-01-0{day}", **more})
        for id, day, more in (
            ("s1", 1, {}),
            ("s2", 2, {"identifier": [accession]}),
            ("s3", 3, {"status": "cancelled"}),
            ("s4", 4, {}),
        )
    ]
    reports = [
        found({"resourceType": "DiagnosticReport", "id": "r1", "imagingStudy": [{"reference": "ImagingStudy/s1"}]}),
        found({"resourceType": "DiagnosticReport", "id": "other", "identifier": [accession]}, "TCM"),
        found({"resourceType": "DiagnosticReport", "id": "r2", "identifier": [accession]}),
    ]
    shown = studies(pictures, reports, Nowhere(), most=2)
    assert [(study.id, study.report) for study in shown] == [("s4", ""), ("s2", "r2")], "an accession number is its facility's own"
    assert {id: report.id for id, report in reports_on(pictures, reports).items()} == {"s1": "r1", "s2": "r2"}


class Nowhere:
    def exists(self, sha256):
        return False


def test_what_asks_for_no_attention_is_not_marked_and_a_value_that_is_missing_says_why():
    def result(code, **more):
        return labs.result_of(observation("a", "1", "2026-03-01", interpretation=[{"coding": [{"code": code}]}], **more))

    assert [result(code).out for code in ("N", "NEG", "ND", "NR", "H", "POS", "AA")] == [False] * 4 + [True] * 3
    missing = observation("b", "1", "2026-03-01", dataAbsentReason={"text": "标本溶血"})
    del missing.resource["valueQuantity"]
    assert labs.result_of(missing).value == "标本溶血"


def test_problems_and_medicines_are_what_still_holds():
    def condition(id, name, facility, **more):
        return found(
            {"resourceType": "Condition", "id": id, "code": {"text": name}, "recordedDate": f"2026-01-0{id}", **more}, facility
        )

    inactive = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
    record = Record(
        {
            "Condition": (
                condition("1", "高血压", "CTY"),
                condition("2", "高血压", "TWP"),
                condition("3", "肺炎", "CTY", **inactive),
            ),
            "MedicationRequest": (
                found(
                    {
                        "resourceType": "MedicationRequest",
                        "id": "a",
                        "status": "active",
                        "medicationCodeableConcept": {"text": "二甲双胍"},
                        "dosageInstruction": [
                            {"doseAndRate": [{"doseQuantity": {"value": Decimal("0.50"), "unit": "g"}}], "route": {"text": "口服"}}
                        ],
                    }
                ),
                found({"resourceType": "MedicationRequest", "id": "b", "status": "stopped"}),
            ),
        },
        (),
    )
    assert [(p.title, p.facilities, p.latest) for p in problems(record)] == [("高血压", ("CTY", "TWP"), "2026-01-02")]
    assert [(m.title, m.detail) for m in medicines(record)] == [("二甲双胍", "0.50g 口服")]


@pytest.mark.parametrize(
    ("text", "codes"),
    [("曾晓燕", ["name"]), ("zxy", ["name"]), ("C000001", ["identifier", "phone"]), ("1390000", ["identifier", "phone"])],
)
def test_what_is_typed_decides_where_to_look(text, codes):
    assert [criterion.code for criterion in criteria(text)] == codes


def test_old_and_new_id_numbers_are_one():
    assert number_forms("339900680312012") == ("339900680312012", "339900196803120120")
    assert number_forms("339900196803120120")[1] == "339900680312012"
    assert number_forms("33990020080312012X") == ("33990020080312012X",)


@pytest.mark.parametrize(
    "dirty",
    [
        "<div><script>x</script></div>",
        '<div><img src="http://x.example/a.png"></div>',
        '<div onclick="x()">a</div>',
        '<div style="background:url(//x)">a</div>',
        '<div><a href="javascript:x()">a</a></div>',
        "<div><iframe src='/p'></iframe></div>",
        "<div><svg><style>*{}</style></svg></div>",
    ],
)
def test_narrative_keeps_nothing_that_loads_runs_or_links(dirty):
    clean = str(narrative({"div": dirty})).lower()
    assert not any(word in clean for word in ("script", "img", "onclick", "style", "href", "iframe", "svg", "x.example"))


def test_sections_stand_in_order_and_depth_ends():
    nested = {"title": "a", "text": {"div": "<div>1</div>"}, "section": [{"title": "b", "text": {"div": "<div>2</div>"}}]}
    assert [section.title for section in sections_of({"section": [nested]})] == ["a", "b"]
    endless = {"title": "x", "text": {"div": "<div>1</div>"}}
    endless["section"] = [endless]
    assert len(list(sections_of({"section": [endless]}))) == 8


def test_units_convert_by_ucum_alone_and_methods_are_never_joined():
    """Each point keeps its source's value and unit; glucose in mg/dL is no mmol/L, for UCUM knows no molar mass."""

    def result(number, day, value, unit, method=""):
        quantity = {"value": Decimal(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
        code = {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}
        category = [{"coding": [{"code": "laboratory"}]}]
        more = {"method": {"text": method}} if method else {}
        interval = {"low": {"value": Decimal("0.5")}, "high": {"value": Decimal("1.2")}} if unit == "mg/dL" else {}
        resource = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "category": category, "code": code}
        made = {**resource, "effectiveDateTime": day, "valueQuantity": quantity, "referenceRange": [interval], **more}
        return Found(made, "CTY")

    observations = [
        result(1, "2024-01-01", "1.00", "mg/dL"),
        result(2, "2024-02-01", "9", "mg/L"),
        result(3, "2024-03-01", "80", "umol/L"),
        result(4, "2024-04-01", "0.08", "mmol/L"),
        result(5, "2024-05-01", "70", "umol/L", "酶法"),
    ]
    (test,) = labs.tests(observations, ())
    drawn = [(s.unit, s.method, s.converted, [(r.number, r.value, r.unit) for r in s.results]) for s in labs.series_of(test)]
    assert drawn == [
        ("mg/L", "", ("mg/dL",), [(Decimal("1E+1"), "1.00", "mg/dL"), (Decimal("9"), "9", "mg/L")]),
        ("mmol/L", "", ("umol/L",), [(Decimal("0.08"), "80", "umol/L"), (Decimal("0.08"), "0.08", "mmol/L")]),
        ("umol/L", "酶法", (), [(Decimal("70"), "70", "umol/L")]),
    ]
    assert (labs.series_of(test)[0].results[0].low, labs.series_of(test)[0].results[0].high) == (Decimal("5"), Decimal("12"))
