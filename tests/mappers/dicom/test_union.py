"""However instances come, the study is the same: the laws of the union."""

from __future__ import annotations

import copy
import functools
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from demo.pacs_objects import head_ct
from mappers.dicom.union import unite_studies
from tests.mappers.dicom.material import SAMPLES, exam, mapped, of_type, read

texts = st.sampled_from(["", "胸部CT平扫", "头颅", "CT head", "x"])


@st.composite
def statements(draw):
    """A study as one instance states it, with texts that may contradict those of others."""
    series, instance = draw(st.sampled_from(["1.1", "1.2", "1.3"])), draw(st.integers(1, 4))
    one = {
        "uid": f"{series}.{instance}",
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2"},
        "extension": [{"url": "urn:stored", "valueReference": {"reference": f"Binary/{draw(st.sampled_from('ab'))}"}}],
    }
    if draw(st.booleans()):
        one["number"] = draw(st.integers(0, 3))
    part = {"uid": series, "modality": {"system": "dcm", "code": draw(st.sampled_from(["CT", "SR"]))}, "instance": [one]}
    if text := draw(texts):
        part["description"] = text
    study = {
        "resourceType": "ImagingStudy",
        "id": "s",
        "status": "available",
        "subject": {"reference": f"Patient/{draw(st.sampled_from('pq'))}"},
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1"}],
        "series": [part],
    }
    if text := draw(texts):
        study["description"] = text
    if draw(st.booleans()):
        study["started"] = draw(st.sampled_from(["2026-11-01", "2026-11-01T08:00:00+08:00", "2026-11-02"]))
    return unite_studies(None, study)


def same(left, right):
    """Equal to the byte, the order of members included: no new version is made of the same content."""
    return json.dumps(left) == json.dumps(right)


@settings(deadline=None)
@given(statements(), statements(), statements())
def test_union_is_commutative_associative_and_idempotent(a, b, c):
    assert same(unite_studies(a, b), unite_studies(b, a))
    assert same(unite_studies(unite_studies(a, b), c), unite_studies(a, unite_studies(b, c)))
    once = unite_studies(a, b)
    assert same(unite_studies(once, b), once)
    assert same(unite_studies(a, a), a)


@settings(deadline=None, max_examples=60)
@given(st.lists(statements(), min_size=1, max_size=12), st.randoms())
def test_any_order_with_any_repeats_ends_in_the_same_study(stated, random):
    shuffled = [*stated, *random.choices(stated, k=5)]
    random.shuffle(shuffled)
    before = copy.deepcopy(shuffled)
    assert same(functools.reduce(unite_studies, shuffled, None), functools.reduce(unite_studies, stated, None))
    assert shuffled == before


def test_a_series_of_slices_becomes_one_study():
    studies = [of_type(mapped(content), "ImagingStudy")[0] for content in reversed(head_ct(exam(), slices=5, size=16))]
    study = functools.reduce(unite_studies, studies, None)
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 5)
    assert [instance["number"] for instance in study["series"][0]["instance"]] == [1, 2, 3, 4, 5]


def test_meta_is_the_current_ones():
    study = of_type(mapped(head_ct(exam(), slices=1, size=16)[0]), "ImagingStudy")[0]
    held = study | {"meta": {"versionId": "3"}}
    assert unite_studies(held, study)["meta"] == {"versionId": "3"}


def test_a_real_series_is_counted_as_held():
    folder = SAMPLES / "dicom" / "ct" / "ge-hispeed-series"
    read(folder / "09.dcm")
    study = functools.reduce(
        unite_studies, (of_type(mapped(path.read_bytes()), "ImagingStudy")[0] for path in folder.iterdir()), None
    )
    assert study["numberOfInstances"] == 12
    assert [modality["code"] for modality in study["modality"]] == ["CT"]
