"""Reports to a PACS, to another hub and into a folder."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage

from connectors.base import JournalUnavailable, SourceRecord, SourceUnavailable
from connectors.dicom.config import DicomConfig
from connectors.dicom.listener import DicomListener
from demo.pacs_objects import head_ct
from hub.app import open_hub
from hub.ingest.run import IntakeService
from hub.ingest.unions import unions
from hub.keep import keep
from hub.outbox import queue
from hub.outbox.config import options_of
from hub.outbox.to_mllp import MllpSender
from hub.search.query import SearchQuery
from hub.settings import Channel
from hub.store.port import EVERYTHING, Key
from mappers.base import MappingContext
from mappers.registry import map_record
from tests.connectors.pacs import Orthanc
from tests.connectors.test_dicom import dataset_bytes
from tests.hub.outbox.resources import PDF, county, destination, patient, report, reported, sodium, stored
from tests.hub.subscriptions.receiver import becomes
from tests.mappers.dicom.material import exam
from tests.second_hub import second_hub

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 5, 1, tzinfo=UTC)
DOCUMENT = {"contentType": "application/pdf", "data": base64.b64encode(PDF).decode(), "title": "检查报告"}


class Pacs:
    """Our own Storage SCP; `full` makes it answer A700."""

    def __init__(self):
        self.records: list[SourceRecord] = []
        self.full = False
        self.listener = DicomListener(
            DicomConfig(port=0, ae_title="PACS"), self.keep, source="pacs", facility="CTY", hints={}, clock=lambda: NOW
        )

    def keep(self, *records):
        if self.full:
            self.full = False
            raise JournalUnavailable
        self.records += records
        return tuple(range(len(records)))

    def __enter__(self):
        self.listener.start()
        return self

    def __exit__(self, *_):
        self.listener.stop()


def settled(hub):
    return lambda: all(each.waiting == 0 for each in queue.lanes(hub.hub.store))


def problems(hub):
    return [(each.id, each.state, each.problem) for each in queue.items(hub.hub.store)]


async def test_a_pacs_gets_the_instances_byte_for_byte_once_and_the_report_as_a_pdf(running):
    files = head_ct(exam(), slices=3, size=16)
    with Pacs() as pacs:
        to = destination(
            "pacs",
            "dicom",
            host="127.0.0.1",
            port=pacs.listener.port,
            called_ae="PACS",
            criteria=["ImagingStudy", "DiagnosticReport?status=final"],
        )
        async with running(to) as hub:
            for file in files:
                assert hub.hub.blobs.put(file)
            cty = hub.client("system", "CTY")
            resources = study_of(files[:2])
            kept(hub, resources)
            await becomes(settled(hub))
            assert [dataset_bytes(each.content) for each in pacs.records] == [dataset_bytes(each) for each in files[:2]]
            pacs.full = True
            resources = study_of(files)
            kept(hub, resources)  # a third slice came: only that one goes out, once the PACS has room
            await becomes(settled(hub))
            assert [dataset_bytes(each.content) for each in pacs.records] == [dataset_bytes(each) for each in files]
            study = next(each for each in resources if each["resourceType"] == "ImagingStudy")
            reference = {"reference": f"ImagingStudy/{study['id']}"}
            await stored(cty, patient(), sodium("o-R1"), report("R1", presentedForm=[DOCUMENT], imagingStudy=[reference]))
            await becomes(settled(hub))
            assert [state for _, state, _ in problems(hub)] == ["sent", "sent", "sent"], problems(hub)
    pdf = dcmread(BytesIO(pacs.records[-1].content))
    assert pdf.SOPClassUID == EncapsulatedPDFStorage
    assert pdf.EncapsulatedDocument[: pdf.EncapsulatedDocumentLength] == PDF
    assert (str(pdf.PatientName), pdf.PatientID, pdf.PatientBirthDate) == ("张三", "100231", "19880101")
    assert pdf.StudyInstanceUID == dcmread(BytesIO(files[0])).StudyInstanceUID


async def test_orthanc_takes_a_study_and_a_report_of_it(running, tmp_path):
    files = head_ct(exam(), slices=2, size=16)
    orthanc = Orthanc(tmp_path)
    orthanc.start()
    try:
        address = {"host": "127.0.0.1", "port": orthanc.dicom_port, "called_ae": "ORTHANC"}
        async with running(
            destination("pacs", "dicom", **address, criteria=["ImagingStudy", "DiagnosticReport?status=final"])
        ) as hub:
            for file in files:
                hub.hub.blobs.put(file)
            resources = study_of(files)
            kept(hub, resources)
            study = next(each for each in resources if each["resourceType"] == "ImagingStudy")
            reference = {"reference": f"ImagingStudy/{study['id']}"}
            told = report("R1", presentedForm=[DOCUMENT], imagingStudy=[reference])
            await stored(hub.client("system", "CTY"), patient(), sodium("o-R1"), told)
            await becomes(settled(hub))
            assert [state for _, state, _ in problems(hub)] == ["sent", "sent"], problems(hub)
        held = orthanc.files()
    finally:
        orthanc.stop()
    pdfs = [each for each in held if dcmread(BytesIO(each)).SOPClassUID == EncapsulatedPDFStorage]
    images = [dataset_bytes(each) for each in held if each not in pdfs]
    assert sorted(images) == sorted(dataset_bytes(each) for each in files)  # bit for bit as they came
    (pdf,) = map(dcmread, map(BytesIO, pdfs))
    assert pdf.EncapsulatedDocument[: pdf.EncapsulatedDocumentLength] == PDF
    assert {pdf.StudyInstanceUID} == {dcmread(BytesIO(each)).StudyInstanceUID for each in files}


def kept(hub, resources):
    """As the pipeline does."""

    def work(transaction):
        for each in resources:
            keep(transaction, each, id=each["id"], facility="CTY", now=hub.hub.clock(), policy=hub.hub.county.policy)

    hub.hub.store.write(work).result()


def study_of(files):
    found = {}
    for file in files:
        record = SourceRecord("pacs", "CTY", "dicom", "k", file, NOW)
        for change in map_record(record, MappingContext()).changes:
            key = change.resource["resourceType"], change.resource["id"]
            found[key] = unions()[key[0]](found.get(key), change.resource) if change.mode == "union" else change.resource
    return [each for each in found.values() if each["resourceType"] in ("Patient", "ImagingStudy")]


async def test_another_hub_has_the_report_with_all_that_it_refers_to_and_is_told_of_its_deletion(running, tmp_path):
    secret = tmp_path / "secret"
    with second_hub(tmp_path / "other", county()) as other:
        secret.write_text(other.token("system", "CTY"))
        to = destination("region", "fhir", base_url=other.base, auth="bearer", secret_file=str(secret))
        async with running(to) as hub:
            cty = hub.client("system", "CTY")
            await reported(cty, "R1", "R2", presentedForm=[DOCUMENT])
            await stored(cty, sodium("o-R1", status="corrected"), report("R1", status="corrected"))
            await becomes(settled(hub))
            assert [state for _, state, _ in problems(hub)] == ["sent"] * 3, problems(hub)
            with other.client("system", "CTY") as there:
                found = there.get("DiagnosticReport/R1").json()
                assert found["status"] == "corrected"
                assert there.get("DiagnosticReport/R2").json()["presentedForm"] == [DOCUMENT]
                assert there.get("Observation/o-R1").json()["status"] == "corrected"
                assert there.get("Patient/p").json()["name"] == [{"text": "张三"}]
                secret.write_text("wrong")
                answer = await cty.delete("/fhir/DiagnosticReport/R2")
                assert answer.status_code == 204
                await becomes(lambda: queue.lanes(hub.hub.store)[0].problem == "HTTP 401")
                secret.write_text(other.token("system", "CTY"))  # renewed there: nothing is lost, nobody restarts anything
                await becomes(settled(hub))
                assert there.get("DiagnosticReport/R2").status_code == 410


async def test_another_hubs_listener_takes_a_report_as_it_would_from_any_laboratory(running, tmp_path):
    channel = Channel(name="from-cty", connector="hl7v2_mllp", options={"port": 0})
    there = county().model_copy(update={"channels": (channel,)})
    other = open_hub(tmp_path / "other", there)
    intake = IntakeService(tmp_path / "other", there, other.store, other.blobs, clock=other.clock)
    intake.start()
    try:
        port = intake.connector("from-cty").port
        to = destination("lis", "mllp", host="127.0.0.1", port=port, charset="GB18030")
        async with running(to) as hub:
            await reported(hub.client("system", "CTY"), "R1", presentedForm=[DOCUMENT])
            await becomes(settled(hub))
            await asyncio.to_thread(hub.hub.outbox.check, "lis")
            found = await becomes(lambda: other.store.search(SearchQuery("DiagnosticReport", ()), EVERYTHING).matches)
        (outcome,) = await becomes(other.store.outcomes)
        assert outcome.state == "done"
        came = json.loads(found[0].body)
        (result,) = (each["reference"] for each in came["result"])
        value = json.loads(other.store.read(Key(*result.split("/"))).body)["valueQuantity"]
        assert (came["status"], found[0].facility, value["value"], value["unit"]) == ("final", "CTY", 139.5, "mmol/L")
        assert other.blobs.read(came["presentedForm"][0]["url"].removeprefix("Binary/")) == PDF
        await asyncio.to_thread(intake.stop)
        with pytest.raises(SourceUnavailable):
            MllpSender(options_of(county(to).destinations[0]), county(to).destinations[0], other.store, other.blobs).check()
    finally:
        intake.stop()
        other.close()


async def test_a_folder_has_whole_files_in_their_order_and_waits_for_room(running, tmp_path):
    folder, documents = tmp_path / "out", tmp_path / "pdf"
    documents.mkdir()
    to = [
        destination("drop", "folder", folder=str(folder), charset="GB18030", version="2.4"),
        destination("pdf", "folder", folder=str(documents), content="pdf"),
        destination("json", "folder", folder=str(documents), content="fhir", criteria=["Observation?code=NA"]),
    ]
    async with running(*to) as hub:
        await reported(hub.client("system", "CTY"), "R1", "R2", presentedForm=[DOCUMENT])
        await becomes(lambda: next(each for each in queue.lanes(hub.hub.store) if each.destination == "drop").failures)
        folder.mkdir()
        await becomes(settled(hub))
    files = sorted(folder.iterdir())
    assert [each.read_bytes().decode("gb18030").split("\r")[3].split("|")[3] for each in files] == ["R1", "R2"]
    assert "ORU^R01^ORU_R01" in files[0].read_bytes().decode("gb18030")
    written = sorted(documents.iterdir(), key=lambda each: (each.suffix, each.name))
    assert [each.suffix for each in written] == [".json", ".json", ".pdf", ".pdf"]
    assert [each.read_bytes() for each in written if each.suffix == ".pdf"] == [PDF, PDF]
    told = [json.loads(each.read_bytes())["entry"] for each in written if each.suffix == ".json"]
    assert [entries[-1]["resource"]["id"] for entries in told] == ["o-R1", "o-R2"]
    assert not list(documents.glob(".*"))
