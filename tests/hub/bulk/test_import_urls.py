"""`$import` of a manifest: files fetched from where county.toml allows it, and from nowhere else."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.hub.api.county import COUNTY, Client, Served, observation, patient, served
from tests.hub.bulk.exports import lines, waited
from tests.hub.bulk.test_import import counts, ndjson

pytestmark = pytest.mark.anyio

PATIENTS = ndjson(patient(f"p{number}") for number in range(3))
RESULTS = ndjson([observation("o0", "p0"), patient("stray"), observation("o1", "p1")])


@dataclass
class FileServer:
    """`answers`: what each path is answered in turn, the last one ever after: status, headers, body, how much of it is sent."""

    answers: dict[str, list[tuple[int, dict[str, str], bytes]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def url(self, path: str, content: bytes = b"", status: int = 200, **headers: str) -> str:
        self.answers.setdefault(path, []).append((status, headers, content))
        return f"http://127.0.0.1:{self.port}{path}?secret=of-the-address"


@pytest.fixture
def files() -> Iterator[FileServer]:
    known = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            known.asked.append(path)
            answers = known.answers[path]
            status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield known
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def hub(tmp_path: Path, store: str) -> AsyncIterator[Served]:
    county = COUNTY.model_validate({**COUNTY.model_dump(by_alias=True), "egress": {"imports": ["127.0.0.1"]}})
    async with served(tmp_path / "data", county, store=store) as running:
        yield running


def manifest(*inputs: tuple[str, str], **more: Any) -> dict[str, Any]:
    listed = [{"type": kind, "url": url} for kind, url in inputs]
    return {"inputFormat": "application/fhir+ndjson", "inputSource": "http://127.0.0.1", "input": listed, **more}


def parameters(*inputs: tuple[str, str]) -> dict[str, Any]:
    part: Callable[[str, str], dict[str, Any]] = lambda kind, url: {  # noqa: E731
        "name": "input",
        "part": [{"name": "type", "valueCode": kind}, {"name": "url", "valueUri": url}],
    }
    storage = {"name": "storageDetail", "part": [{"name": "type", "valueCode": "https"}]}
    named = {"name": "inputFormat", "valueCode": "application/fhir+ndjson"}
    return {"resourceType": "Parameters", "parameter": [named, storage, *(part(*each) for each in inputs)]}


async def asked(client: Client, body: dict[str, Any]) -> Any:
    answer = await client.post(body, "/fhir/$import")
    assert answer.status_code == 202, answer.text
    return await waited(client, answer.headers["content-location"])


@pytest.mark.parametrize("shape", [manifest, parameters])
async def test_files_are_fetched_and_taken_in_and_another_type_is_refused(admin: Client, files: FileServer, shape: Any) -> None:
    inputs = ("Patient", files.url("/patients", PATIENTS)), ("Observation", files.url("/results", RESULTS))
    told = (await asked(admin, shape(*inputs))).json()
    assert counts(told) == (5, 0, 0, 1)
    assert told["output"] == [{"inputUrl": inputs[0][1], "count": 3}, {"inputUrl": inputs[1][1], "count": 2}]
    (refused,) = await lines(admin, told["error"])
    assert refused["extension"][0]["valueString"] == f"http://127.0.0.1:{files.port}/results:2"
    assert (await admin.get("/fhir/Patient/stray")).status_code == 404
    events = await admin.walk("/fhir/AuditEvent")
    assert "of-the-address" not in str(events)


async def test_what_cannot_be_had_now_is_asked_for_again(admin: Client, files: FileServer) -> None:
    files.url("/patients", status=503)
    files.url("/patients", PATIENTS[:-10], **{"content-length": str(len(PATIENTS))})
    told = (await asked(admin, manifest(("Patient", files.url("/patients", PATIENTS))))).json()
    assert counts(told) == (3, 0, 0, 0)
    assert len(files.asked) == 3


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [(404, {}, "HTTP 404"), (302, {"location": "/patients"}, "HTTP 302"), (200, {"content-encoding": "gzip"}, "DecodingError")],
)
async def test_a_file_that_is_not_there_stops_all(
    admin: Client, hub: Served, files: FileServer, status: int, headers: dict[str, str], said: str
) -> None:
    good, bad = files.url("/patients", PATIENTS), files.url("/bad", PATIENTS, status, **headers)
    failed = await asked(admin, manifest(("Patient", good), ("Patient", bad)))
    assert failed.status_code == 500
    assert failed.json()["issue"][0]["diagnostics"] == f"file 2 of the manifest was not fetched: {said}"
    assert (await admin.get("/fhir/Patient/p0")).status_code == 404
    assert not any(hub.hub.data.glob("imports/sent-*"))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (manifest(("Patient", "https://10.1.2.3/p.ndjson")), 422),
        (manifest(("Patient", "http://169.254.169.254/latest")), 422),
        (manifest(("Patient", "file:///etc/passwd")), 422),
        (manifest(("Cat", "http://127.0.0.1/p")), 400),
        (manifest(("Patient", "http://127.0.0.1/p"), inputFormat="text/csv"), 400),
        (manifest(("Patient", "http://127.0.0.1/p"), storageDetail={"type": "aws-s3"}), 400),
        (manifest(("Patient", "http://127.0.0.1/p"), mode="x"), 400),
        (manifest(), 400),
        (manifest(*[("Patient", "http://127.0.0.1/p")] * 101), 400),
        ({**manifest(), "input": [{"type": "Patient"}]}, 400),
        ({**manifest(), "input": [{"type": ["Patient"], "url": {}}]}, 400),
        (manifest(("Patient", "http://127.0.0.1/p"), inputFormat=[], storageDetail={"type": {}}), 400),
        ({"resourceType": "Parameters", "parameter": [None]}, 400),
        (patient("p"), 400),
    ],
)
async def test_a_manifest_that_is_not_understood_or_allowed_is_refused(admin: Client, body: dict[str, Any], status: int) -> None:
    answer = await admin.post(body, "/fhir/$import")
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")


async def test_without_a_word_in_the_countys_file_nothing_is_fetched(tmp_path: Path, files: FileServer) -> None:
    async with served(tmp_path / "other") as other:
        for url in (files.url("/patients", PATIENTS), "https://hub.example/patients.ndjson"):
            answer = await other.client("admin").post(manifest(("Patient", url)), "/fhir/$import")
            assert (answer.status_code, files.asked) == (422, [])
