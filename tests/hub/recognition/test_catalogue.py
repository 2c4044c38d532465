"""Catalogues, evidence and ConceptMaps as files: the shipped ones hold together, a wrong one names itself and the place."""

from __future__ import annotations

import json

import pytest

from hub.errors import Invalid
from hub.ingest.contexts import context_of
from hub.settings import Channel
from profiles.catalogue import SHIPPED, load_catalogue, load_code_system, load_concept_maps, load_evidence
from profiles.names import LOINC


def test_the_demonstration_catalogue_covers_what_the_local_codes_map_to():
    catalogue, maps = load_catalogue("county-demo"), load_concept_maps(["cty-item", "tcm-item", "twp-item"])
    targets = {(coding["system"], coding["code"]) for codings in maps.values() for coding in codings}
    panels = {(LOINC, code) for code in ("24320-4", "57698-3", "58410-2", "24325-3")}  # an order's code; recognised item by item
    assert all(catalogue.matching(*target) for target in targets - panels)
    assert len(targets - panels) == 21
    assert {system for system, _ in maps} == {"urn:hub:CTY:item", "urn:hub:TCM:item", "urn:hub:TWP:item"}
    assert maps["urn:hub:CTY:item", "K"][0]["code"] == maps["urn:hub:TWP:item", "钾"][0]["code"] == "2823-3"


def test_the_demonstration_evidence_speaks_of_items_of_the_catalogue_and_one_lapsed():
    catalogue, evidence = load_catalogue("county-demo"), load_evidence("county-demo")
    assert all(catalogue.item(row.item) for row in evidence.rows)
    assert [row.item for row in evidence.rows if row.valid_to.year < 2026] == ["L0203"]


def test_every_shipped_concept_map_and_code_system_can_be_read():
    assert load_concept_maps()["urn:oid:2.16.156.10011.2.3.3.4", "1"] == (
        {"system": "http://hl7.org/fhir/administrative-gender", "code": "male", "display": "Male"},
    )
    for path in (SHIPPED / "code_systems").glob("*.json"):
        assert load_code_system(path.stem)
    assert len(load_code_system("ethnic-group")) == 56


def test_a_catalogue_beside_county_toml_comes_first(tmp_path):
    folder = tmp_path / "recognition" / "catalogues"
    folder.mkdir(parents=True)
    document = json.loads((SHIPPED / "recognition/catalogues/county-demo.json").read_text("utf-8"))
    document["catalogue"]["version"] = "local"
    (folder / "county-demo.json").write_text(json.dumps(document), "utf-8")
    assert load_catalogue("county-demo", tmp_path).catalogue.version == "local"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["items"][0].pop("price"), "items.0.price"),
        (lambda d: d["items"][0].update(price=-1), "items.0.price"),
        (lambda d: d["items"][0].update(clock_from="whenever"), "items.0.clock_from"),
        (lambda d: d["items"][0]["validity_days"].update(outpatient=-1), "negative"),
        (lambda d: d["items"][0].update(excluded_contexts=["moon"]), "moon"),
        (lambda d: d["items"].append(d["items"][0]), "twice"),
        (lambda d: d["items"][-1].update(modality=[]), "modality"),
        (lambda d: d["items"][0].update(same_method=True), "methods"),
        (lambda d: d["items"][0].update(surprise=1), "surprise"),
    ],
)
def test_a_wrong_catalogue_names_the_file_and_the_place(tmp_path, change, says):
    document = json.loads((SHIPPED / "recognition/catalogues/county-demo.json").read_text("utf-8"))
    change(document)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(Invalid) as raised:
        load_catalogue("mine.json", tmp_path)
    assert str(path) in raised.value.message
    assert says in raised.value.message


@pytest.mark.parametrize(
    ("text", "says"), [("{", "Expecting"), ("[]", "not a JSON object"), ('{"resourceType": "Patient"}', "not a ConceptMap")]
)
def test_a_file_that_is_no_concept_map_says_so(tmp_path, text, says):
    (tmp_path / "concept_maps").mkdir()
    (tmp_path / "concept_maps" / "bad.json").write_text(text, "utf-8")
    with pytest.raises(Invalid, match=says):
        load_concept_maps(["bad"], tmp_path)


def test_what_a_map_calls_unmatched_translates_to_nothing(tmp_path):
    (tmp_path / "maps").mkdir()
    element = [
        {"code": "X", "target": [{"equivalence": "unmatched"}]},
        {"code": "Y", "target": [{"code": "1", "equivalence": "equal"}]},
    ]
    document = {"resourceType": "ConceptMap", "group": [{"source": "s", "target": LOINC, "element": element}]}
    (tmp_path / "maps" / "one.json").write_text(json.dumps(document), "utf-8")
    assert load_concept_maps(["maps"], tmp_path) == {("s", "Y"): ({"system": LOINC, "code": "1"},)}


def test_a_name_that_is_nowhere_says_where_it_was_looked_for():
    with pytest.raises(Invalid, match="looked for"):
        load_evidence("nowhere")


def test_a_countys_own_map_takes_the_place_of_the_shipped_one_for_intake_and_recognition_alike(tmp_path):
    element = {"code": "K9", "target": [{"code": "2823-3", "equivalence": "equivalent"}]}
    group = {"source": "urn:hub:CTY:item", "target": LOINC, "element": [element]}
    (tmp_path / "concept_maps").mkdir()
    (tmp_path / "concept_maps" / "cty-item.json").write_text(json.dumps({"resourceType": "ConceptMap", "group": [group]}), "utf-8")
    channel = Channel(name="cty-lis", connector="hl7v2_mllp", maps=("cty-item",))
    assert context_of(channel, tmp_path).translate("urn:hub:CTY:item", "K9") == ({"system": LOINC, "code": "2823-3"},)
    everything = load_concept_maps(beside=tmp_path)
    assert ("urn:hub:CTY:item", "K9") in everything
    assert ("urn:hub:CTY:item", "K") not in everything
    assert ("urn:hub:TWP:item", "钾") in everything


def test_a_catalogue_with_one_item_and_nothing_but_what_the_rule_model_names(tmp_path):
    stated = {
        "catalogue": {"id": "county-2025", "version": "3", "scope": "community", "published": "2025-06-01"},
        "items": [
            {
                "code": "L0101",
                "display": "钾",
                "category": "lab",
                "specimen": ["serum", "plasma"],
                "match": [{"system": "urn:hub:cty-lis:item", "code": "K"}, {"system": "http://loinc.org", "code": "2823-3"}],
                "validity_days": {"outpatient": 7, "inpatient": 3, "preoperative": 0, "emergency": 0},
                "clock_from": "collected",
                "min_mark": "agreement",
                "lower_tier_source": "suggest",
                "same_method": False,
                "unit": "mmol/L",
                "requires_eqa": "in-date-when-performed",
                "requires_images": False,
                "requires_reference_range": True,
                "price": 300,
                "excluded_contexts": ["forensic", "transfusion"],
            }
        ],
    }
    (tmp_path / "ours.json").write_text(json.dumps(stated), "utf-8")
    item = load_catalogue("ours.json", tmp_path).item("L0101")
    assert (item.price, item.clock_from, item.excluded_contexts) == (300, "collected", ("forensic", "transfusion"))
