"""The one-operation service over real HTTP: our own client, and envelopes as vendors write them."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape

import httpx
import pytest
from lxml import etree

from connectors.base import JournalUnavailable, SourceDenied, SourceUnavailable
from connectors.soap.actions import ACTIONS, known_action
from connectors.soap.client import SoapClient
from connectors.soap.config import SoapConfig
from connectors.soap.credentials import username_token
from connectors.soap.envelope import SOAP_11, SOAP_12, answered, read_call, read_result, requested
from connectors.soap.listener import SoapListener
from connectors.soap.payload import read_acknowledgement
from connectors.soap_query.config import SoapQueryConfig
from connectors.soap_query.connector import SoapQueryConnector
from connectors.xml import read_xml
from hub.app import open_hub
from hub.ingest.run import IntakeService
from hub.security.outward import HttpOutward
from hub.settings import Channel
from hub.store.port import Key
from mappers.base import MappingContext
from mappers.identity_keys import resource_id
from mappers.registry import map_record
from tests.connectors.test_fhir_rest import eventually
from tests.hub.api.county import COUNTY

NOW = datetime.now(UTC)
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "hl7v3"
REGISTER = (GOLDEN / "patient-register" / "input.xml").read_text("utf-8")
PLAIN = REGISTER.partition("?>")[2].strip()


class Kept:
    def __init__(self):
        self.records = []
        self.fail = None

    def __call__(self, *records):
        if self.fail:
            raise self.fail
        self.records += records
        return tuple(range(len(records)))


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def serve(kept):
    started = []

    def start(facility="CTY", **options):
        config = SoapConfig.model_validate({"port": 0, **options})
        listener = SoapListener(config, kept, source="cty-esb", facility=facility, hints={}, clock=lambda: NOW)
        listener.check()
        listener.start()
        started.append(listener)
        return f"http://127.0.0.1:{listener.port}{config.path}"

    yield start
    for listener in started:
        listener.stop()


def client(url, **more):
    return SoapClient(url, HttpOutward((url,)), seconds=30, clock=lambda: NOW, **more)


def post(url, content, **headers):
    answer = httpx.post(url, content=content, headers=headers, timeout=30)
    code = read_acknowledgement(read_result(answer.content))[0] if answer.status_code == 200 else ""
    return answer, code


def envelope(body, soap=SOAP_11, header=""):
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return f'<s:Envelope xmlns:s="{soap}">{head}<s:Body>{body}</s:Body></s:Envelope>'


@pytest.mark.parametrize("soap", [SOAP_11, SOAP_12])
def test_our_client_is_answered_once_its_message_is_kept(serve, kept, soap):
    told = client(serve(), soap=soap).call("PatientInfoRegister", REGISTER)
    assert (told.code, told.answers, told.accepted) == ("AA", "M-0001", True)
    (record,) = kept.records
    assert (record.kind, record.facility, record.hints["action"]) == ("hl7v3/PatientInfoRegister", "CTY", "PatientInfoRegister")
    assert record.content.decode() == PLAIN  # as it was, but for the declaration of an encoding that is the envelope's
    assert map_record(record, MappingContext()).resources[0]["name"] == [{"use": "official", "text": "张三"}]


TWICE = escape(escape(PLAIN))
DEFECTS = {
    "CDATA, and a declaration of another encoding within": envelope(
        '<HIPMessageServer xmlns="urn:hl7-org:v3"><action>PatientInfoRegister</action>'
        f"<message><![CDATA[{REGISTER.replace('UTF-8', 'GBK')}]]></message></HIPMessageServer>"
    ),
    "names of a code generator, no namespace": envelope(
        f"<HIPMessageServer><arg0>PatientInfoRegister</arg0><arg1>{escape(PLAIN)}</arg1></HIPMessageServer>"
    ),
    "input1 and input2 in a vendor's namespace": envelope(
        '<v:HIPMessageServer xmlns:v="http://www.dhcc.com.cn"><v:input1>PatientInfoRegister</v:input1>'
        f"<v:input2>{escape(PLAIN)}</v:input2></v:HIPMessageServer>"
    ),
    "the message as elements": envelope(
        f"<HIPMessageServer><action>PatientInfoRegister</action><message>{PLAIN}</message></HIPMessageServer>"
    ),
    "escaped twice": envelope(
        f"<HIPMessageServer><action>PatientInfoRegister</action><message>{TWICE}</message></HIPMessageServer>"
    ),
    "the message before the action, and other letters' case": envelope(
        f"<HIPMessageServer><pInput>{escape(PLAIN)}</pInput><Action>patientinforegister</Action></HIPMessageServer>"
    ),
    "white space before the declaration": "\r\n " + requested("PatientInfoRegister", PLAIN).decode(),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_what_vendors_do_to_an_envelope(serve, kept, defect):
    url = serve()
    for encoding in ("utf-8", "gb18030"):  # GBK under a declaration of UTF-8, too
        answer, code = post(url, DEFECTS[defect].encode(encoding), content_type="text/xml; charset=utf-8")
        assert code == "AA", answer.text
        record = kept.records.pop()
        assert record.kind == "hl7v3/PatientInfoRegister"
        assert map_record(record, MappingContext()).resources[0]["name"] == [{"use": "official", "text": "张三"}]


def test_documents_unknown_actions_and_messages_without_an_envelope(serve, kept):
    url = serve()
    document = '<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2" extension="D7"/></ClinicalDocument>'
    assert post(url, requested("DocumentRegister", document))[1] == "AA"
    assert post(url, requested("CriticalValueInfoAdd", PLAIN.replace("PRPA_IN201311UV02", "XXXX_IN0001")))[1] == "AA"
    bare, _ = post(url, PLAIN.encode(), soapaction='"urn:hl7-org:v3:PatientInfoRegister"')
    assert bare.status_code == 200
    assert [record.kind for record in kept.records][:2] == ["cda", "hl7v3/CriticalValueInfoAdd"]
    assert kept.records[2].kind.startswith("hl7v3/")
    _, code = post(url, requested("PatientInfoQuery", PLAIN))
    assert (code, len(kept.records)) == ("AR", 3)  # it asks, and nothing is told here
    refusing = serve(path="/strict", unknown_actions="refuse")
    assert post(refusing, requested("CriticalValueInfoAdd", PLAIN))[1] == "AR"


def test_the_trouble_is_told_apart(serve, kept):
    url = serve(max_body_bytes=100_000, read_seconds=1)
    bomb = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><HIPMessageServer>&b;</HIPMessageServer>'
    for content, status, says in (
        (b"", 400, b"not well-formed"),
        (b"<a", 400, b"line 1"),
        (bomb.encode(), 400, b"DOCTYPE"),
        (envelope("").encode(), 400, b"no body"),
        (envelope("<HIPMessageServer><action>a</action></HIPMessageServer>").encode(), 400, b"no message"),
        (("<a>" * 200 + "</a>" * 200).encode(), 400, b"deeper"),
        (b"x" * 100_001, 413, b"100000 bytes"),
    ):
        answer, _ = post(url, content)
        assert answer.status_code == status
        assert says in answer.content
        assert b"Fault" in answer.content
    inner = post(url, requested("PatientInfoRegister", "<!DOCTYPE x><a/>"))
    assert inner[1] == "AR"
    assert post(url, requested("PatientInfoRegister", "<a><b></a>"))[1] == "AR"
    kept.fail = JournalUnavailable("full")
    assert post(url, requested("PatientInfoRegister", PLAIN))[1] == "AE"
    kept.fail = RuntimeError("secret")
    answer, code = post(url, requested("PatientInfoRegister", PLAIN))
    assert code == "AE"
    assert b"secret" not in answer.content
    kept.fail = None
    with socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0])), 30) as slow:
        slow.sendall(b"POST /HIPMessageService HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n<a")
        assert b" 408 " in slow.recv(65536).split(b"\r\n")[0]
    assert httpx.get(url.replace("HIPMessageService", "other"), timeout=30).status_code == 404
    assert kept.records == []


def test_who_may_call(serve, kept, tmp_path):
    (tmp_path / "secret").write_text("s3cret\n")
    means = {"user": "his", "secret_file": str(tmp_path / "secret")}
    basic = serve(auth="basic", **means)
    ours = SoapConfig.model_validate({"auth": "basic", **means})
    assert client(basic, means=ours).call("PatientInfoRegister", PLAIN).accepted
    with pytest.raises(SourceDenied):
        client(basic).call("PatientInfoRegister", PLAIN)
    token = serve(path="/token", auth="username_token", **means)
    ours = SoapConfig.model_validate({"auth": "username_token", **means})
    assert client(token, means=ours).call("PatientInfoRegister", PLAIN).accepted
    header = username_token("his", "s3cret", nonce=b"once", created=NOW)
    call = requested("PatientInfoRegister", PLAIN, header=header)
    assert post(token, call)[1] == "AA"
    assert post(token, call)[0].status_code == 500  # overheard and repeated
    plain = "<Security><UsernameToken><Username>his</Username><Password>{}</Password></UsernameToken></Security>"
    assert post(token, requested("PatientInfoRegister", PLAIN, header=plain.format("s3cret")))[1] == "AA"
    assert post(token, requested("PatientInfoRegister", PLAIN, header=plain.format("wrong")))[0].status_code == 500
    with pytest.raises(SourceUnavailable, match="fault"):
        client(token).call("PatientInfoRegister", PLAIN)
    assert post(serve(path="/far", allow=["10.20.0.0/16"]), call)[0].status_code == 403
    assert len(kept.records) == 4


def test_the_description_names_the_operation_and_both_bindings(serve):
    url = serve()
    described = etree.fromstring(httpx.get(f"{url}?wsdl", timeout=30).content)
    names = [each.get("name") for each in described.iter("{http://schemas.xmlsoap.org/wsdl/}operation")]
    assert set(names) == {"HIPMessageServer"}
    assert [each.get("location") for each in described.iter() if each.get("location")] == [url, url]


def test_sixty_callers_at_once_are_each_answered_for_their_own_message(serve, kept):
    url, told = serve(), {}

    def call(number):
        told[number] = client(url).call("PatientInfoRegister", PLAIN.replace("M-0001", f"M-{number}")).answers

    threads = [threading.Thread(target=call, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told == {number: f"M-{number}" for number in range(60)}
    assert len(kept.records) == 60


def test_names_of_actions():
    assert ACTIONS["ExamAppInfoAdd"] == "lab"
    assert ACTIONS["CheckAppInfoAdd"] == "imaging"
    assert known_action("examappinfoADD") == "ExamAppInfoAdd"
    assert known_action("PatientInfoRegisterV2") == "PatientInfoRegister"
    assert known_action("Anything") == ""


def test_a_hub_takes_a_patient_a_visit_and_its_orders_through_the_service(tmp_path):
    channel = Channel(name="cty-esb", connector="soap", facility="CTY", options={"port": 0})
    county = COUNTY.model_copy(update={"channels": (channel,)})
    hub = open_hub(tmp_path / "data", county)
    intake = IntakeService(tmp_path / "data", county, hub.store, hub.blobs, clock=hub.clock)
    intake.start()
    try:
        url = f"http://127.0.0.1:{intake.connector('cty-esb').port}/HIPMessageService"
        for case in ("patient-register", "inpatient-add", "lab-request-add", "order-add", "discharge-add"):
            action = (GOLDEN / case / "action.txt").read_text().strip()
            assert client(url).call(action, (GOLDEN / case / "input.xml").read_text("utf-8")).accepted
        keys = [("Patient", "P100231"), ("Encounter", "ADM-77"), ("ServiceRequest", "YZ-1"), ("MedicationRequest", "YZ-3")]
        wanted = [Key(type, resource_id(type, "CTY", number)) for type, number in keys]
        found = eventually(lambda: hub.store.read_many(wanted), 4)
        assert {version.facility for version in found} == {"CTY"}
        eventually(lambda: [each for each in hub.store.read_many(wanted[1:2]) if b'"finished"' in each.body], 1)
        assert hub.store.outcomes(state="dead") == []
    finally:
        intake.stop()
        hub.close()


class Platform:
    """Answers queries as a platform does: the patients it has, or AE; says what it was asked."""

    def __init__(self):
        self.code = "AA"
        self.asked = []

    def __enter__(self):
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                call = read_call(self.rfile.read(int(self.headers["content-length"])))
                message = read_xml(call.message)
                platform.asked.append((call.action, *(each.get("value") for each in message.iter() if each.get("value"))))
                one, two = (
                    PLAIN[PLAIN.index("<subject ") : PLAIN.index("</controlAct")].replace("P100231", n) for n in ("P1", "P2")
                )
                body = f"<controlActProcess>{one}{two}</controlActProcess>" if platform.code == "AA" else ""
                said = f'<acknowledgement typeCode="{platform.code}"/>'
                name = 'PRPA_IN201306UV02 xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
                content = answered(call, f"<{name}>{said}{body}</PRPA_IN201306UV02>")
                self.send_response(200)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/HIPMessageService"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_a_platform_is_asked_from_where_it_last_answered(tmp_path):
    request = tmp_path / "patient.xml"
    request.write_text('<q xmlns="urn:hl7-org:v3"><low value="{{since}}"/><high value="{{until}}"/></q>')
    now = [datetime(2026, 5, 1, 0, 0, tzinfo=UTC)]
    with Platform() as platform:
        options = {"url": platform.url, "queries": [{"action": "PatientInfoQuery", "request": str(request)}]}
        config = SoapQueryConfig.model_validate(options)
        asking = SoapQueryConnector(config, source="p", facility="CTY", outward=HttpOutward, clock=lambda: now[0])
        asking.check()
        (page,) = asking.fetch({})
        (record,) = page.records
        names = [each["identifier"][0]["value"] for each in map_record(record, MappingContext()).resources]
        assert names == ["P1", "P2"]
        now[0] = datetime(2026, 5, 1, 1, 0, tzinfo=UTC)
        platform.code = "AE"
        with pytest.raises(SourceUnavailable, match="PatientInfoQuery is answered with AE"):
            list(asking.fetch(page.cursor))
        platform.code = "AA"
        list(asking.fetch(page.cursor))
        assert platform.asked[1:] == [
            ("PatientInfoQuery", "20260430080000", "20260501080000"),  # a day back, at first
            ("PatientInfoQuery", "20260501075500", "20260501090000"),
            ("PatientInfoQuery", "20260501075500", "20260501090000"),
        ]
        eastern = SoapQueryConnector(
            config, source="p", facility="CTY", outward=HttpOutward, clock=lambda: now[0], hints={"zone": "-05:00"}
        )
        list(eastern.fetch({}))
        assert platform.asked[-1] == ("PatientInfoQuery", "20260429200000", "20260430200000")
        request.write_text("<q>")
        with pytest.raises(SourceDenied, match="not well-formed"):
            asking.check()
        request.write_text("<q/>")
    with pytest.raises(SourceUnavailable):
        list(asking.fetch({}))
