"""MLLP over TLS with certificates made here: who may connect, and for which facility."""

import hashlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors import tls
from connectors.base import SourceUnavailable
from connectors.hl7v2_mllp.client import MllpClient
from connectors.hl7v2_mllp.framing import frame
from tests.connectors.certificates import Certificates
from tests.connectors.test_mllp import MESSAGE, Hub, Journal, read_blocks


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    for name in ("hub", "lis.cty", "lis.twp", "stranger"):
        made.make(name)
    return made


@pytest.fixture
def hub(certificates: Certificates) -> Iterator[Hub]:
    folder = certificates.folder
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert((folder / "lis.twp.pem").read_text())).hexdigest()
    running = Hub(
        Journal(),
        facility="",
        tls={"certificate": folder / "hub.pem", "key": folder / "hub.key", "client_ca": certificates.ca},
        certificates={"lis.cty": "CTY", f"sha256:{fingerprint}": "TWP"},
        facilities={"县医院": "CTY", "Township": "TWP"},
    )
    yield running
    running.listener.stop()


Sender = Callable[[str], MllpClient]


@pytest.fixture
def sender(hub: Hub, certificates: Certificates) -> Sender:
    def make(name: str) -> MllpClient:
        own = (certificates.folder / f"{name}.pem", certificates.folder / f"{name}.key") if name else ()
        return MllpClient("127.0.0.1", hub.listener.port, timeout=60, tls=tls.calling(certificates.ca, *own))

    return make


def message(msh4: str = "CTY", pid3: str = "7") -> bytes:
    return MESSAGE.replace(b"|CTY|", f"|{msh4}|".encode()).replace(b"||7||", f"||{pid3}||".encode())


def test_a_certificate_speaks_for_its_facility_and_for_no_other(hub: Hub, sender: Sender) -> None:
    with sender("lis.cty") as county, sender("lis.twp") as township:
        own = ("7", "7^^^CTY", "7^^^县医院&1.2.3&ISO^PI", "330123^^^CN^NI", "7^^^CTY~330123^^^MPS^NNCHN", "~8^^^CTY~")
        foreign = ("7^^^TWP", "7^^^Township^MR", "7^^^CTY~8^^^TWP^MR", "7^^^elsewhere&2.3&ISO")
        assert [county.deliver(message(pid3=number)).code for number in own] == ["AA"] * len(own)
        assert [county.deliver(message(pid3=number)).code for number in foreign] == ["AR"] * len(foreign)
        assert [county.deliver(message(name)).code for name in ("县医院", "", "TWP", "EVIL")] == ["AA", "AA", "AR", "AR"]
        assert county.deliver(message("TWP")).text == "MSH-4 is another facility than the sender is bound to"
        assert [township.deliver(message(name)).code for name in ("TWP", "Township", "CTY")] == ["AA", "AA", "AR"]
        more = (b"PID|2||8^^^TWP\r", b"MRG|8^^^TWP\r", b"PV1|1|OPID|2||8^^^TWP\r", b"PV1|1|9PID|2||8^^^TWP\r", b"MRG|8^^^CTY\r")
        assert [county.deliver(message() + segment).code for segment in more] == ["AR", "AR", "AA", "AR", "AA"]
    assert [record.facility for record in hub.journal.records] == ["CTY"] * (len(own) + 2) + ["TWP"] * 2 + ["CTY"] * 2


def test_who_is_not_bound_or_shows_no_certificate_gets_nothing_in(hub: Hub, sender: Sender, certificates: Certificates) -> None:
    with sender("stranger") as stranger:
        answer = stranger.deliver(MESSAGE)
        assert (answer.code, answer.text) == ("AR", "the client certificate is bound to no facility")
    with sender("") as nobody, pytest.raises(SourceUnavailable):
        nobody.send(MESSAGE)
    with MllpClient("127.0.0.1", hub.listener.port, timeout=60) as plain, pytest.raises(SourceUnavailable):
        plain.send(MESSAGE)
    other = MllpClient("127.0.0.1", hub.listener.port, timeout=60, tls=tls.calling())
    with other, pytest.raises(SourceUnavailable, match="SSLCertVerificationError"):
        other.send(MESSAGE)  # the sender does not know who signed the hub's certificate
    assert hub.journal.records == []
    with sender("lis.cty") as county:
        assert county.deliver(MESSAGE).accepted


def test_a_listener_may_ask_for_no_certificate(certificates: Certificates) -> None:
    folder = certificates.folder
    hub = Hub(Journal(), tls={"certificate": folder / "hub.pem", "key": folder / "hub.key"})
    with MllpClient("127.0.0.1", hub.listener.port, timeout=60, tls=tls.calling(certificates.ca)) as client:
        assert client.deliver(MESSAGE).accepted
    hub.listener.stop()


def test_a_certificate_that_cannot_be_used_is_told_before_anything_starts(tmp_path: Path, certificates: Certificates) -> None:
    absent = {"certificate": tmp_path / "none.pem", "key": tmp_path / "none.key"}
    with pytest.raises(SourceUnavailable, match=r"none\.pem .* No such file"):
        Hub(Journal(), tls=absent)
    swapped = {"certificate": certificates.folder / "hub.pem", "key": certificates.folder / "lis.cty.key"}
    with pytest.raises(SourceUnavailable, match="KEY_VALUES_MISMATCH"):
        Hub(Journal(), tls=swapped)
    with pytest.raises(ValueError, match="client_ca"):
        Hub(Journal(), certificates={"lis.cty": "CTY"})


BUSY = b"MSH|^~\\&|A|B|C|D|20240501||ACK|1|P|2.5\rMSA|AE|42\rERR|||207^busy^HL70357|E|||come later\r"
ANSWERS = {
    "to another message": b"MSH|^~\\&|A|B|C|D|20240501||ACK|1|P|2.5\rMSA|AA|41\r",
    "no acknowledgement": b"MSH|^~\\&|A|B|C|D|20240501||ORU^R01|1|P|2.5\rPID|1\r",
    "nothing of HL7": b"hello",
    "too long": b"x" * 3000,
    "": b"",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_what_is_no_answer_to_the_message_is_never_taken_for_one(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = MllpClient("127.0.0.1", server.getsockname()[1], timeout=30 if answer else 0.2, max_answer_bytes=2000)
        with client:
            first = _deliver_in_thread(client)
            connection, _ = server.accept()
            with connection:
                read_blocks(connection, 1)
                if answer:
                    connection.sendall(frame(answer))
                with pytest.raises(SourceUnavailable):
                    first()
            second = _deliver_in_thread(client)
            connection, _ = server.accept()  # anew: what the first connection may still bring is nobody's answer
            with connection:
                read_blocks(connection, 1)
                connection.sendall(frame(BUSY))
                told = second()
    assert (told.code, told.accepted, told.worth_repeating, told.text) == ("AE", False, True, "come later")


def _deliver_in_thread(client: MllpClient):
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    future = pool.submit(client.deliver, MESSAGE)
    pool.shutdown(wait=False)
    return lambda: future.result(60)
