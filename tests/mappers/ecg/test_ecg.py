"""ECGs of several makers against what another reader found in them, and against themselves in another format."""

from __future__ import annotations

import json
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from demo.pacs_objects import Heart, twelve_lead_ecg
from mappers.ecg.aecg import ecg_from_aecg
from mappers.ecg.dicom_waveform import ecg_from_dicom
from mappers.ecg.formats import read_ecg
from mappers.ecg.model import LEADS, EcgError
from profiles.names import MACHINE_STATEMENT
from tests.mappers.dicom.material import SAMPLES, assert_golden, exam, mapped, of_type, read, validate, written

GOLDEN = Path(__file__).parent / "golden"
FOLDER = SAMPLES / "ecg"
MADE = twelve_lead_ecg(exam(), heart=Heart(rate=72, pr=156, qrs=92, qt=384, statements=("窦性心律", "左心室高电压")))[0]

FILES = [
    "dicom/hl7example_12lead_500hz.dcm",
    "dicom/mortara_12lead_1000hz.dcm",
    "aecg/hl7example.xml",
    "aecg/cvrg_example2_1000hz.xml",
    "aecg/liryc_example_100hz.xml",
    "aecg/fda_minimum_aecg.xml",
    "scp/hl7example.scp",
    "derived/hl7example.edf",
    "sierra/129DYPRG_1.03.xml",
    "sierra/ZZDEMO_1.04.xml",
    "sierra/2020-5-18_1.04.01.xml",
]


def opened(file):
    return read_ecg(read(FOLDER / file))


@pytest.mark.parametrize("file", FILES)
def test_leads_and_measurements_are_as_expected(file):
    ecg = opened(file)
    expected = json.loads((FOLDER / "expected.json").read_bytes())[file]
    assert set(ecg.leads) == set(expected["leads"])
    for name, facts in expected["leads"].items():
        samples = ecg.leads[name]
        assert (len(samples), ecg.sampling_rate) == (facts["n"], facts["fs"])
        # the reader that wrote expected.json takes 0 for padding in one file and shows null
        np.testing.assert_allclose(samples[:10], [value or 0 for value in facts["first10_uV"]], atol=0.01)
        assert (float(samples.min()), float(samples.max())) == (facts["min_uV"], facts["max_uV"])
    for kind, value in expected["global"].items():
        if value is not None:
            assert ecg.measured({"qtc_bazett": "qtc_interval"}.get(kind, kind)) == value


def test_one_recording_is_the_same_in_three_formats_and_a_padding_value_tears_no_holes():
    dicom, aecg, scp = (
        opened(f"{name}") for name in ("dicom/hl7example_12lead_500hz.dcm", "aecg/hl7example.xml", "scp/hl7example.scp")
    )
    for lead in LEADS:
        np.testing.assert_array_equal(dicom.leads[lead], aecg.leads[lead])
        np.testing.assert_array_equal(scp.leads[lead], aecg.leads[lead])
    assert dicom.started == aecg.started == scp.started == "2002-11-22T09:10:00+08:00"
    kinds = ("pr_interval", "qrs_duration", "qt_interval", "p_axis", "qrs_axis", "t_axis")
    assert [scp.measured(kind) for kind in kinds] == [aecg.measured(kind) for kind in kinds] == [148, 120, 420, 44, -61, 86]
    assert (scp.subject.number, scp.subject.name, scp.subject.sex, scp.subject.birth_date) == ("SBJ-123", "Clark", "M", "19530508")
    assert [issue.code for issue in dicom.issues] == ["conflict"] * 3  # its axes are said to be in ms


def test_the_machines_statements_and_filters():
    ecg = opened("dicom/mortara_12lead_1000hz.dcm")
    assert ecg.statements == ("RITMO SINUSALE", "ECG NORMALE")
    assert ecg.filters == "0.05-300 Hz"


@pytest.mark.parametrize("file", ["aecg/fda_empty.xml", "sierra/ZZDEMO_1.04.xml", "pdf/mortara_ecg_3x4_1.pdf"])
def test_what_is_no_aecg_is_refused(file):
    with pytest.raises(EcgError):
        ecg_from_aecg(read(FOLDER / file))


def test_a_document_type_is_refused():
    with pytest.raises(EcgError, match="DOCTYPE"):
        ecg_from_aecg(
            b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><AnnotatedECG xmlns="urn:hl7-org:v3">&b;</AnnotatedECG>'
        )


def altered(change) -> bytes:
    dataset = dcmread(BytesIO(MADE))
    change(dataset.WaveformSequence[0])
    return written(dataset)


def test_sensitivity_unit_correction_and_baseline_give_microvolts():
    def millivolt(group):
        for channel in group.ChannelDefinitionSequence:
            channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "0.00125", "2", "0.1"
            channel.ChannelSensitivityUnitsSequence[0].CodeValue = "mV"

    plain, scaled = ecg_from_dicom(MADE), ecg_from_dicom(altered(millivolt))
    for lead in LEADS:
        np.testing.assert_allclose(scaled.leads[lead], plain.leads[lead] + 100, atol=0.01)


def test_padding_counts_where_every_channel_ends_in_it_and_at_the_end_of_the_range():
    def ended(group):
        data = np.frombuffer(group.WaveformData, "<i2").reshape(-1, 12).copy()
        data[4000:] = 0
        group.WaveformData = data.tobytes()
        group.add_new("WaveformPaddingValue", "OW", b"\0\0")

    def extreme(group):
        data = np.frombuffer(group.WaveformData, "<i2").reshape(-1, 12).copy()
        data[100:200, 3] = -32768
        group.WaveformData = data.tobytes()
        group.add_new("WaveformPaddingValue", "OW", b"\0\x80")

    assert {int(np.isnan(samples).sum()) for samples in ecg_from_dicom(altered(ended)).leads.values()} == {1000}
    holes = {lead: int(np.isnan(samples).sum()) for lead, samples in ecg_from_dicom(altered(extreme)).leads.items()}
    assert holes == {lead: 100 if lead == "aVR" else 0 for lead in LEADS}


def test_fewer_samples_than_stated_is_an_issue_and_none_is_a_reason():
    def short(group):
        group.WaveformData = group.WaveformData[: 12 * 2 * 1000]

    ecg = ecg_from_dicom(altered(short))
    assert [issue.where for issue in ecg.issues] == ["(5400,1010)"]
    assert ecg.duration == 2

    def none(group):
        group.WaveformData = b""

    with pytest.raises(EcgError, match="no samples"):
        ecg_from_dicom(altered(none))
    result = mapped(altered(none))  # the file is kept, the report waits, the reason is told
    assert "unsupported" in {issue.code for issue in result.issues}
    assert len(of_type(result, "DiagnosticReport")) == 1


def test_an_ecg_becomes_measurements_and_a_report_that_waits_for_a_reader():
    result = mapped(MADE)
    validate(result)
    (report,), (study,) = of_type(result, "DiagnosticReport"), of_type(result, "ImagingStudy")
    assert report["status"] == "preliminary"
    assert "conclusion" not in report
    assert report["extension"] == [{"url": MACHINE_STATEMENT, "valueString": text} for text in ("窦性心律", "左心室高电压")]
    assert report["imagingStudy"] == [{"reference": f"ImagingStudy/{study['id']}"}]
    observations = of_type(result, "Observation")
    assert [reference["reference"] for reference in report["result"]] == [f"Observation/{o['id']}" for o in observations]
    *measured, panel, waveform = observations
    assert [member["reference"] for member in panel["hasMember"]] == [f"Observation/{o['id']}" for o in measured]
    assert [component["code"]["text"] for component in waveform["component"]] == list(LEADS)
    values = {o["code"]["coding"][0]["code"]: (o["valueQuantity"]["value"], o["valueQuantity"]["code"]) for o in measured}
    assert values == {
        "8867-4": (Decimal(72), "/min"),
        "8625-6": (Decimal(156), "ms"),
        "8633-0": (Decimal(92), "ms"),
        "8634-8": (Decimal(384), "ms"),
        "8636-3": (Decimal(421), "ms"),
    }


def test_statements_under_a_wrong_label_are_read_by_the_whole_files_evidence():
    result = mapped(twelve_lead_ecg(exam(label="ISO_IR 100", name="Wang^Xiaodong", institution="", description="ECG"))[0])
    assert of_type(result, "DiagnosticReport")[0]["extension"][0]["valueString"] == "窦性心律"


def test_the_made_beats_have_the_rate_that_is_stated():
    ecg = ecg_from_dicom(MADE)
    lead = ecg.leads["V5"]
    peaks = np.flatnonzero((lead[1:-1] > 900) & (lead[1:-1] >= lead[:-2]) & (lead[1:-1] > lead[2:]))
    beats = 1 + np.count_nonzero(np.diff(peaks) > 200)
    assert abs(beats - 12) <= 1
    np.testing.assert_allclose(ecg.leads["I"] + ecg.leads["III"], ecg.leads["II"], atol=80)  # Einthoven, but for noise and wander


def test_golden():
    result = mapped(MADE)
    assert_golden(result, GOLDEN / "twelve_lead.expected.json")
