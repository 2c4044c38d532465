"""Pulled from a second hub over real HTTP, and from a server that misbehaves in every way that servers do."""

from __future__ import annotations

import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from connectors.base import SourceDenied, SourceUnavailable
from connectors.fhir_rest.config import FhirRestConfig
from connectors.fhir_rest.connector import FhirRestConnector
from hub.app import open_hub
from hub.ingest.run import IntakeService
from hub.security.outward import HttpOutward
from hub.settings import Channel
from hub.store.port import Key
from mappers.fhir.incoming import Origin
from tests.connectors.certificates import Certificates
from tests.hub.api.county import COUNTY, bundle, entry, observation, patient
from tests.second_hub import second_hub

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    with second_hub(tmp_path_factory.mktemp("other"), COUNTY) as running:
        yield running


@pytest.fixture
def secret(other, tmp_path):
    file = tmp_path / "secret"
    file.write_text(other.token("system", "CTY"))
    return file


def connector(base, **options):
    config = FhirRestConfig.model_validate({"base_url": base, "types": ["Patient", "Observation"], **options})
    return FhirRestConnector(config, source="there", facility="CTY", outward=HttpOutward, clock=lambda: NOW)


def eventually(look, count, seconds=60.0):
    """What `look` finds, once it is so many."""
    until = time.monotonic() + seconds
    while len(found := look()) < count:
        assert time.monotonic() < until, f"{len(found)} of {count}"
        time.sleep(0.02)
    return found


def taken(pages):
    """Keys of records, and the last cursor."""
    keys, cursor = [], {}
    for page in pages:
        keys += [f"{record.key}{'!' if record.kind == 'fhir/deleted' else ''}" for record in page.records]
        cursor = page.cursor
    return keys, cursor


def stored(client, *resources):
    entries = [entry("PUT", f"{each['resourceType']}/{each['id']}", each) for each in resources]
    answer = client.post("", json=bundle("transaction", *entries))
    assert answer.status_code == 200, answer.text


# ---------------------------------------------------------------- a second hub


def test_changes_and_deletions_of_a_second_hub_however_the_walk_is_cut(other, secret):
    auth = {"auth": "bearer", "secret_file": str(secret), "count": 2}
    with other.client("system", "CTY") as there:
        stored(there, patient("p"), *(observation(f"tie-{n}", "p") for n in range(5)))  # one instant, over three pages
        first = connector(other.base, **auth)
        first.check()
        keys, cursor = taken(first.fetch({}))
        assert keys == ["Patient/p/1", *(f"Observation/tie-{n}/1" for n in range(5))] or sorted(keys) == sorted(
            ["Patient/p/1", *(f"Observation/tie-{n}/1" for n in range(5))]
        )
        # cut after any page and begun anew by another process: nothing is missed
        for pages in range(1, 5):
            cut = connector(other.base, **auth)
            walked = []
            for page, _ in zip(cut.fetch({}), range(pages), strict=False):
                walked.append(page)
            rest, _ = taken(connector(other.base, **auth).fetch(walked[-1].cursor))
            seen = {record.key for page in walked for record in page.records} | set(rest)
            assert seen == set(keys)
        # what is known of the overlap is not taken again, what changed and what was deleted is
        assert taken(first.fetch(cursor))[0] == []
        stored(there, observation("tie-1", "p", status="corrected"))
        assert there.delete("Observation/tie-3").status_code == 204
        keys, cursor = taken(first.fetch(cursor))
        assert keys == ["Observation/tie-1/2", "Observation/tie-3/2!"]
        assert taken(first.fetch(cursor))[0] == []
        # a history tells each resource once, as it is now
        keys, _ = taken(connector(other.base, **auth, mode="history").fetch({}))
        assert "Observation/tie-1/2" in keys
        assert "Observation/tie-3/2!" in keys
        assert not {"Observation/tie-1/1", "Observation/tie-3/1"}.intersection(keys)


def test_a_bulk_export_of_a_second_hub_is_resumed_at_the_line_where_it_was_cut(other, secret):
    options = {"mode": "bulk", "auth": "bearer", "secret_file": str(secret), "count": 2, "types": ["Observation", "Patient"]}
    with other.client("system", "CTY") as there:
        stored(there, patient("b"), *(observation(f"bulk-{n}", "b") for n in range(5)))
        cursor, seen, cuts = {}, [], 0
        while "since" not in cursor:
            cuts += 1
            for page in connector(other.base, **options).fetch(cursor):  # each process lives for one page
                seen += [record.key for record in page.records]
                cursor = page.cursor
                break
        assert cuts > 5
        assert len(seen) == len(set(seen))
        assert {f"Observation/bulk-{n}/1" for n in range(5)} | {"Patient/b/1"} <= set(seen)
        stored(there, observation("bulk-2", "b", status="amended"))
        again, since = [], cursor["since"]
        while cursor.get("since") == since:
            keys, cursor = taken(connector(other.base, **options).fetch(cursor))
            again += keys
        assert again == ["Observation/bulk-2/2"]


def test_records_of_another_server_are_the_facilitys_own_here(other, secret, tmp_path):
    """Through a hub: ids of the facility, references moved, a correction and a deletion followed."""
    with other.client("system", "CTY") as there:
        stored(there, patient("w"), observation("w-1", "w"), observation("w-2", "w"))
        options = {"base_url": other.base, "auth": "bearer", "secret_file": str(secret), "every": 0.1, "server": "there"}
        options["types"] = ["Patient", "Observation"]
        channel = Channel(name="cty-fhir", connector="fhir_rest", facility="CTY", options=options)
        county = COUNTY.model_copy(update={"channels": (channel,)})
        hub = open_hub(tmp_path / "data", county)
        intake = IntakeService(tmp_path / "data", county, hub.store, hub.blobs, clock=hub.clock)
        origin = Origin("CTY", "there", f"{other.base}/", binaries=False)
        id = lambda type, there: Key(type, origin.id_of(type, there))  # noqa: E731
        intake.start()
        try:
            found = eventually(
                lambda: hub.store.read_many([id("Observation", "w-1"), id("Observation", "w-2"), id("Patient", "w")]), 3
            )
            resource = json.loads(found[0].body)
            assert resource["subject"] == {"reference": f"Patient/{origin.id_of('Patient', 'w')}"}
            assert resource["meta"]["source"] == f"{other.base}/Observation/w-1/_history/1"
            assert {"system": "urn:hub:origin-facility", "code": "CTY"} in resource["meta"]["tag"]
            assert found[0].facility == "CTY"
            stored(there, observation("w-1", "w", status="corrected"))
            there.delete("Observation/w-2")
            eventually(lambda: [each for each in hub.store.history(id("Observation", "w-2"), count=1) if each.deleted], 1)
            (corrected,) = eventually(
                lambda: [each for each in hub.store.read_many([id("Observation", "w-1")]) if b"corrected" in each.body], 1
            )
            assert corrected.version == 2
        finally:
            intake.stop()
            hub.close()


# ---------------------------------------------------------------- a server that misbehaves


@dataclass
class Odd:
    """Answers by path, each from a list in turn, the last one for ever: (status, headers, body)."""

    answers: dict[str, list[tuple[int, dict[str, str], object]]]
    tls: ssl.SSLContext | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __enter__(self) -> Odd:
        odd = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                odd.asked.append((self.path, headers))
                self.rfile.read(int(headers.get("content-length", 0)))
                answers = odd.answers.get(self.path.partition("?")[0], [(404, {}, {})])
                status, more, body = answers.pop(0) if len(answers) > 1 else answers[0]
                content = body if isinstance(body, bytes) else json.dumps(body).replace("BASE", odd.base).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/fhir+json", **more}.items():
                    self.send_header(name, value.replace("BASE", odd.base))
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.base = f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.server_port}/fhir"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


R4 = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}
EMPTY = {"resourceType": "Bundle", "type": "searchset"}


def page(*resources, following=""):
    links = [{"relation": "next", "url": following}] if following else []
    return {**EMPTY, "link": links, "entry": [{"resource": each} for each in resources]}


def version(id, updated, **more):
    return patient(id, meta={"versionId": "1", "lastUpdated": updated}, **more)


def ok(body):
    return [(200, {}, body)]


def pull(odd, cursor=None, waits=None, **options):
    pulling = connector(odd.base, types=["Patient"], deletions=False, **options)
    pulling._client._wait = (waits if waits is not None else []).append
    return pulling, lambda: taken(pulling.fetch(cursor or {}))


@pytest.mark.parametrize(
    ("answers", "error", "says"),
    [
        ({"/fhir/metadata": ok({**R4, "fhirVersion": "5.0.0"})}, SourceDenied, "5.0.0"),
        ({"/fhir/metadata": ok({**R4, "fhirVersion": "3.0.2"})}, SourceDenied, "3.0.2"),
        ({"/fhir/metadata": ok({"resourceType": "Patient"})}, SourceUnavailable, "no CapabilityStatement"),
        ({"/fhir/metadata": [(401, {}, {})]}, SourceDenied, "HTTP 401"),
        ({"/fhir/metadata": [(302, {"location": "https://elsewhere.example/fhir/metadata"}, {})]}, SourceDenied, "elsewhere"),
        ({"/fhir/metadata": ok(b"<html>")}, SourceUnavailable, "no JSON"),
        ({"/fhir/metadata": ok(R4), "/fhir/Patient": [(400, {}, {})]}, SourceDenied, "_lastUpdated"),
        (
            {"/fhir/metadata": ok(R4), "/fhir/Patient": [(200, {"content-type": "application/fhir+json; fhirVersion=5.0"}, EMPTY)]},
            SourceDenied,
            "FHIR 5.0",
        ),
    ],
)
def test_check_says_what_is_wrong(answers, error, says):
    with Odd(answers) as odd, pytest.raises(error, match=says):
        pull(odd)[0].check()


@pytest.mark.parametrize(
    ("next_page", "error", "says"),
    [
        ("https://elsewhere.example/fhir/Patient?page=2", SourceDenied, "out of the configured base"),
        ("BASE/../admin", SourceDenied, "out of the configured base"),
        ("BASE/%2e%2e/admin", SourceDenied, "out of the configured base"),
        ("BASE/Patient?_sort=_lastUpdated&_count=200", SourceUnavailable, "leads back"),
        ("BASE/Patient?page=2", SourceUnavailable, "no Bundle"),
    ],
)
def test_a_link_that_leads_nowhere_good_ends_the_walk_and_what_came_before_is_kept(next_page, error, says):
    first = page(version("1", "2026-05-01T00:00:00Z"), following=next_page)
    with Odd({"/fhir/Patient": [(200, {}, first), (200, {}, {"resourceType": "Patient"})]}) as odd:
        pages = pull(odd)[0].fetch({})
        assert [record.key for record in next(pages).records] == ["Patient/1/1"]
        with pytest.raises(error, match=says):
            list(pages)


def test_a_busy_server_is_asked_again_as_it_says_and_a_token_is_renewed(tmp_path):
    (tmp_path / "secret").write_text("s3cret")
    found = page(version("1", "2026-05-01T00:00:00Z"))
    busy = [(429, {"retry-after": "7"}, {}), (503, {}, {}), (401, {}, {}), (200, {}, found)]
    tokens = [(200, {}, {"access_token": name, "expires_in": 3600}) for name in ("first", "second")]
    with Odd({"/fhir/Patient": busy, "/token": tokens}) as odd:
        token_url = odd.base.replace("/fhir", "/token")
        waits: list[float] = []
        credentials = {"auth": "oauth2", "user": "hub", "secret_file": str(tmp_path / "secret"), "token_url": token_url}
        assert pull(odd, waits=waits, **credentials)[1]()[0] == ["Patient/1/1"]
        assert waits == [7.0, 2.0]
        bearers = [headers["authorization"] for path, headers in odd.asked if path.startswith("/fhir")]
        assert bearers == ["Bearer first"] * 3 + ["Bearer second"]
    with Odd({"/fhir/Patient": [(503, {"retry-after": "86400"}, {})]}) as odd, pytest.raises(SourceUnavailable, match="503"):
        pull(odd)[1]()


def test_a_server_that_does_not_sort_moves_the_cursor_only_at_the_end():
    pages = [
        (200, {}, page(version("1", "2026-05-01T12:00:00Z"), following="BASE/Patient?page=2")),
        (200, {}, page(version("2", "2026-05-01T08:00:00Z"), following="BASE/Patient?page=3")),
        (200, {}, page(version("3", "2026-05-01T11:00:00Z"))),
    ]
    with Odd({"/fhir/Patient": pages}) as odd:
        cursors = [found.cursor for found in pull(odd, {"Patient": "2026-05-01T07:00:00+00:00"})[0].fetch({})]
        assert [each.get("Patient") for each in cursors] == ["2026-05-01T12:00:00+00:00"] * 3
    with Odd({"/fhir/Patient": [(200, {}, b"x" * 5000)]}) as odd:
        pulling = pull(odd, page_bytes=1024)[1]
        with pytest.raises(SourceUnavailable, match="too long"):
            pulling()


def test_a_server_whose_certificate_the_house_signed_is_trusted_where_it_is_named_and_no_other(tmp_path):
    folders = tmp_path / "house", tmp_path / "elsewhere"
    for folder in folders:
        folder.mkdir()
    certificates, strangers = map(Certificates, folders)
    certificates.make("fhir")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.folder / "fhir.pem", certificates.folder / "fhir.key")
    with Odd({"/fhir/Patient": ok(page(version("1", "2026-05-01T00:00:00Z")))}, tls=context) as odd:
        assert pull(odd, ca_file=str(certificates.ca))[1]()[0] == ["Patient/1/1"]
        for ca in (None, str(strangers.ca)):
            asking = pull(odd, ca_file=ca)[1]
            with pytest.raises(SourceUnavailable, match="ConnectError"):
                asking()
