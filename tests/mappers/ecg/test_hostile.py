"""Any bytes, and any damage to real ones, are read or refused with a reason: never a crash, never another kind of exception."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.base import CannotMap, MappingContext
from mappers.ecg.mapper import map_ecg
from mappers.ecg.model import EcgError
from mappers.ecg.xli import unpacked
from tests.mappers.dicom.material import SAMPLES, read, record
from tests.mappers.test_imaging_golden import GOLDEN

OPENINGS = (b"", b"<AnnotatedECG xmlns='urn:hl7-org:v3'>", b"%PDF-", b"<restingecgdata xmlns='http://www3.medical.philips.com'>")


@settings(max_examples=60, deadline=None)
@given(opening=st.sampled_from(OPENINGS), rest=st.binary(max_size=400))
def test_any_bytes(opening, rest):
    with suppress(CannotMap):
        map_ecg(record(opening + rest), MappingContext())


@pytest.mark.parametrize("file", ["hl7example.scp", "129DYPRG_1.03.xml", "fda_minimum_aecg.xml"])
def test_damaged_files(file):
    content = (GOLDEN / "ecg" / file).read_bytes()
    dice = random.Random(11)
    for _ in range(25):
        damaged = bytearray(content[: dice.randrange(len(content))] if dice.random() < 0.4 else content)
        for _ in range(dice.randrange(12)):
            if damaged:
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        with suppress(CannotMap):
            map_ecg(record(bytes(damaged)), MappingContext(explain=True))


def test_a_print_is_kept_as_a_document_and_invents_nothing():
    result = map_ecg(record(read(SAMPLES / "ecg" / "pdf" / "mortara_ecg_3x4_1.pdf")), MappingContext())
    assert [change.resource["resourceType"] for change in result.changes] == ["Patient", "DocumentReference", "Binary"]
    assert set(result.resources[0]) == {"resourceType", "id"}


def test_xli_ends_where_its_data_end():
    for data in (b"", b"\0" * 7, b"\xff\xff\xff\x7f\0\0\0\0", b"\4\0\0\0\0\0\0\0\xff\xff\xff\xff", b"\2\0\0\0\0\0\0\0\0"):
        with suppress(EcgError):
            assert all(len(lead) <= 10 for lead in unpacked(data, leads=12, samples=10))


def test_an_edf_of_another_kind_is_refused_with_a_reason():
    content = read(SAMPLES / "ecg" / "derived" / "hl7example.edf")
    brain = content[:256] + content[256 : 256 + 13 * 16].replace(b"V", b"X").replace(b"I", b"X").replace(b"aX", b"XX")
    for damaged, reason in (
        (content[:192] + b"EDF+D" + content[197:], "gaps"),
        (content[:252] + b"9999" + content[256:], "signals"),
        (content[:3000], "signals in a header"),
        (content[:3600], "no whole data record"),
        (brain + content[256 + 13 * 16 :], "no signal that names an ECG lead"),
    ):
        with pytest.raises(CannotMap, match=reason):
            map_ecg(record(damaged), MappingContext())
    cut = map_ecg(record(content[:-20_000]), MappingContext())
    assert "number of data records" in {issue.where for issue in cut.issues}
