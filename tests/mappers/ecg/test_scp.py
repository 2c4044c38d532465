"""SCP-ECG records that no sample covers, written here by the book and read back."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from mappers.ecg.model import EcgError
from mappers.ecg.scp import ecg_from_scp
from tests.mappers.ecg import scp_writer as scp

EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
COUNT = 2000
TWO_BYTES = struct.pack("<H", scp.DEFAULT)


def beat(at: int, width: int = 12) -> np.ndarray:
    return 300 * np.exp(-(((np.arange(COUNT) - at) / width) ** 2))


FIDUCIALS = (300, 900, 1500)
CURVES = {
    name: np.rint(sum(beat(at) for at in FIDUCIALS) * (n + 1) / 4 + 20 * np.sin(np.arange(COUNT) / 60)).astype(int)
    for n, name in enumerate(EIGHT)
}


def made(data, *, order=0, tables=TWO_BYTES, people=None, **more) -> bytes:
    sections = {1: people or scp.person(b"Wang"), 3: scp.leads(EIGHT, COUNT), 6: scp.signal(data, order=order)}
    return scp.record({**sections, **({2: tables} if tables else {}), **more})


def assert_curves(ecg, *, within: float = 0.0):
    for name, curve in CURVES.items():
        np.testing.assert_allclose(ecg.leads[name], curve * 2.5, atol=within)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_differences_of_each_order_with_and_without_huffman_codes(order):
    assert_curves(ecg_from_scp(made([scp.coded(curve, order) for curve in CURVES.values()], order=order)))
    plain = [np.array(scp.differences(curve, order), "<i2").tobytes() for curve in CURVES.values()]
    ecg = ecg_from_scp(made(plain, order=order, tables=b""))
    assert_curves(ecg)
    np.testing.assert_allclose(ecg.leads["III"], ecg.leads["II"] - ecg.leads["I"])
    np.testing.assert_allclose(ecg.leads["aVR"], -(ecg.leads["I"] + ecg.leads["II"]) / 2)
    np.testing.assert_allclose(ecg.leads["aVL"] + ecg.leads["aVF"], ecg.leads["I"] / 2 + ecg.leads["II"] / 2)
    assert ecg.issues == ()
    assert (ecg.started, ecg.subject.sex, ecg.subject.birth_date) == ("2026-11-01T08:03:04+08:00", "F", "19700203")


def test_tables_of_the_record_and_switches_between_them():
    """Table 1 knows 0 and "go to table 2"; table 2 has 12 plain bits and the way back. Prefixes are written first bit lowest."""
    tables = struct.pack("<H", 2)
    tables += struct.pack("<H", 2) + struct.pack("<BBBhI", 1, 1, 1, 0, 0) + struct.pack("<BBBhI", 2, 2, 0, 2, 0b01)
    tables += struct.pack("<H", 2) + struct.pack("<BBBhI", 2, 14, 1, 0, 0b11) + struct.pack("<BBBhI", 1, 1, 0, 1, 0)
    data = [scp.packed("".join("0" if v == 0 else f"1011{int(v) & 0xFFF:012b}0" for v in curve)) for curve in CURVES.values()]
    assert_curves(ecg_from_scp(made(data, tables=tables)))


def test_reference_beats_are_added_where_they_were_subtracted():
    length, fiducial = 200, 101  # samples, and the fiducial counted from 1
    reference = {
        name: np.rint(300 * np.exp(-(((np.arange(length) - 100) / 12) ** 2)) * (n + 1) / 4).astype(int)
        for n, name in enumerate(EIGHT)
    }
    beats = [(0, at + 1 - 60, at + 1, at + 1 + 60) for at in FIDUCIALS[:2]] + [(1, 1440, 1501, 1560)]  # another kind: left alone
    residual = {name: curve.copy() for name, curve in CURVES.items()}
    for name, curve in residual.items():
        for at in FIDUCIALS[:2]:
            curve[at - 60 : at + 61] -= reference[name][40:161]
    content = scp.record({
        1: scp.person(b"Wang"),
        2: TWO_BYTES,
        3: scp.leads(EIGHT, COUNT, subtracted=True),
        4: scp.locations(length * 2, fiducial, beats, []),
        5: scp.signal([scp.coded(curve, 2) for curve in reference.values()], order=2),
        6: scp.signal([scp.coded(curve, 2) for curve in residual.values()], order=2),
    })  # fmt: skip
    ecg = ecg_from_scp(content)
    assert_curves(ecg)
    assert ecg.sampling_rate == 500


def test_bimodal_compression_keeps_the_qrs_and_draws_lines_between_means_elsewhere():
    zones = [(at - 51, at + 48) for at in FIDUCIALS]  # multiples of four between them
    stored = {name: scp.decimated(curve, zones, 4) for name, curve in CURVES.items()}
    content = scp.record({
        1: scp.person(b"Wang"),
        2: TWO_BYTES,
        3: scp.leads(EIGHT, COUNT),
        4: scp.locations(400, 101, [(0, a, (a + b) // 2, b) for a, b in zones], zones),
        5: scp.signal([scp.coded([0] * 200, 0) for _ in EIGHT], order=0),
        6: scp.signal([scp.coded(curve, 1) for curve in stored.values()], order=1, interval=8000, bimodal=1),
    })  # fmt: skip
    ecg = ecg_from_scp(content)
    assert ecg.sampling_rate == 500
    assert_curves(ecg, within=20)  # 8 steps: between beats the curve moves by less than a step a sample
    for first, last in zones:
        np.testing.assert_array_equal(ecg.leads["V6"][first - 1 : last], CURVES["V6"][first - 1 : last] * 2.5)


def test_names_in_gbk_under_latin_1_and_statements_are_read_by_their_bytes():
    statements = (
        struct.pack("<BHBBBBBB", 0, 2026, 11, 1, 8, 3, 4, 1) + b"\1" + struct.pack("<H", 9) + "窦性心律".encode("gbk") + b"\0"
    )
    content = scp.record({
        1: scp.person("欧阳晓燕".encode("gbk")),
        2: TWO_BYTES,
        3: scp.leads(EIGHT, COUNT),
        6: scp.signal([scp.coded(c, 0) for c in CURVES.values()]),
        8: statements,
    })  # fmt: skip
    ecg = ecg_from_scp(content)
    assert ecg.subject.name == "欧阳晓燕"
    assert ecg.statements == ("窦性心律",)
    assert [(issue.code, issue.detail) for issue in ecg.issues] == [("charset-repaired", "GB18030")]


def test_a_section_with_a_wrong_checksum_is_left_out_and_named():
    content = bytearray(made([scp.coded(c, 0) for c in CURVES.values()]))
    content[content.index(b"Wang")] ^= 1
    ecg = ecg_from_scp(bytes(content))
    assert ecg.subject.name == ""
    assert [issue.where for issue in ecg.issues if issue.code == "check-failed"] == ["record checksum", "section 1"]
    content[-10] ^= 1  # and the signal
    with pytest.raises(EcgError, match="section 6"):
        ecg_from_scp(bytes(content))


def test_bytes_that_lie_are_refused_and_never_read_beyond():
    whole = made([scp.coded(c, 0) for c in CURVES.values()])
    for end in range(0, len(whole), 97):
        with pytest.raises(EcgError):
            ecg_from_scp(whole[:end])
    generator = np.random.default_rng(7)
    for _ in range(60):
        hostile = bytearray(whole)
        for at in generator.integers(0, 400, 6):
            hostile[at] = generator.integers(0, 256)
        try:
            ecg_from_scp(bytes(hostile))
        except EcgError:
            continue


def test_a_lead_that_claims_a_day_is_refused_before_room_is_made_for_it():
    content = scp.record({3: scp.leads(EIGHT, 900_000), 6: scp.signal([b"\0" * 100 for _ in EIGHT])})
    with pytest.raises(EcgError, match="7200000 samples"):
        ecg_from_scp(content)
