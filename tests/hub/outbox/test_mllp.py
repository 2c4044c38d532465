"""Reports to a hospital's system over MLLP: python-hl7 receives them."""

from __future__ import annotations

import asyncio
import base64
from contextlib import ExitStack

import pytest

from demo.process import free_ports
from hub.outbox import queue
from hub.outbox.queue import Choice
from tests.connectors.certificates import Certificates
from tests.connectors.test_mllp import Hub as Listening
from tests.connectors.test_mllp import Journal
from tests.hub.outbox.peers import MllpPeer
from tests.hub.outbox.resources import PDF, destination, patient, report, reported, sodium, stored
from tests.hub.subscriptions.receiver import becomes

pytestmark = pytest.mark.anyio


@pytest.fixture
def peer():
    with MllpPeer() as receiving:
        yield receiving


def to(peer, name="lis", **more):
    return destination(name, "mllp", host="127.0.0.1", port=peer.port, **more)


def lane(hub, name="lis"):
    return next(each for each in queue.lanes(hub.hub.store) if each.destination == name)


def settled(hub, name="lis"):
    """Nothing waits."""
    return lambda: lane(hub, name).waiting == 0


async def test_a_final_report_goes_out_with_its_results_and_its_pdf_and_so_does_its_correction(running, peer):
    document = {"contentType": "application/pdf", "data": base64.b64encode(PDF).decode(), "title": "检验报告"}
    async with running(to(peer)) as hub:
        cty = hub.client("system", "CTY")
        preliminary = report("R1", status="preliminary", presentedForm=[document])
        await stored(cty, patient(), sodium("o-R1"), preliminary)
        await stored(cty, {**preliminary, "status": "final"})
        await peer.hears(1)  # a message has the results as they are when it is made
        corrected = sodium("o-R1", status="corrected", valueQuantity={"value": 141, "unit": "mmol/L"})
        await stored(cty, corrected, {**preliminary, "status": "corrected"})
        await stored(cty, {**preliminary, "status": "entered-in-error"})
        first, second, third = await peer.hears(3)
        await becomes(settled(hub))
        assert len(peer.messages) == 3  # nothing of the preliminary one
        letters = queue.items(hub.hub.store)
        audited = await hub.client("admin").get("/fhir/AuditEvent?entity=DiagnosticReport/R1&agent-name=destination lis")
    assert str(first.segment("MSH")[9]) == "ORU^R01^ORU_R01"
    assert str(first.segment("PID")[5]) == "张三"
    assert str(first.segment("PID")[3]) == "100231^^^CTY^MR~330327198801014330^^^CN^NI"
    assert [str(first.segment("OBR")[25]), str(second.segment("OBR")[25]), str(third.segment("OBR")[25])] == ["F", "C", "X"]
    obx = first.segments("OBX")
    assert str(obx[0][5]) == "139.5"
    assert base64.b64decode(str(obx[1][5]).split("^")[4]) == PDF
    assert str(second.segments("OBX")[0][5]) == "141"
    assert [str(each[11]) for each in second.segments("OBX")] == ["C", "C"]
    assert [(each.state, each.control_id) for each in letters] == [("sent", str(each.segment("MSH")[10])) for each in peer.messages]
    assert len({each.control_id for each in letters}) == 3
    assert len(audited.json().get("entry", [])) == 3


async def test_a_destination_that_was_down_gets_everything_in_order_and_nothing_twice(running, store):
    (port,) = free_ports(1)
    ids = [f"R{number:02}" for number in range(12)]
    with MllpPeer() as other:
        away = destination("lis", "mllp", host="127.0.0.1", port=port)
        async with running(away, to(other, "archive"), store=store) as hub:
            cty = hub.client("system", "CTY")
            await reported(cty, *ids[:6])
            await other.hears(6)  # the other lane goes on
            await becomes(lambda: lane(hub).failures > 1)
            state = lane(hub)
            assert (state.waiting, state.dead) == (6, 0)
            assert "127.0.0.1" in state.problem
        async with running(away, to(other, "archive"), store=store) as hub:
            cty = hub.client("system", "CTY")
            await reported(cty, *ids[6:])
            with MllpPeer(port=port) as back:
                await back.hears(12)
                await becomes(settled(hub))
                assert back.ids() == ids
            await becomes(settled(hub, "archive"))
            assert other.ids() == ids


async def test_what_the_receiver_refuses_is_set_aside_and_what_fails_is_tried_again(running, peer):
    answers = {"R1": iter(["AE", "", "AA"]), "R2": iter(["AR", "AA"]), "R3": iter(["AE"] * 5)}
    peer.answer = lambda message: next(answers.get(str(message.segment("OBR")[3]), iter(())), "AA")
    async with running(to(peer, most_attempts=3)) as hub:
        await reported(hub.client("system", "CTY"), "R1", "R2", "R3", "R4")
        await becomes(settled(hub))
        assert peer.ids() == ["R1", "R1", "R1", "R2", "R3", "R3", "R3", "R4"]
        assert len({str(message.segment("MSH")[10]) for message in peer.messages}) == 4  # a repetition is known again
        found = queue.items(hub.hub.store)
        told = [(each.id, each.state, each.problem, each.attempts) for each in found]
        assert told == [
            ("R1", "sent", "", 3),
            ("R2", "dead", "answered AR", 1),
            ("R3", "dead", "answered AE", 3),
            ("R4", "sent", "", 1),
        ]
        # R2 was mended there; of R3 a newer version has gone out meanwhile
        peer.answer = lambda _: "AA"
        await stored(hub.client("system", "CTY"), report("R3", status="amended"))
        await peer.hears(9)
        await becomes(settled(hub))
        assert queue.count(hub.hub.store, Choice(states=frozenset({"dead"}))) == 2
        done = queue.replay(hub.hub.store, Choice(states=frozenset({"dead"})))
        assert (done.queued, done.superseded) == (1, 1)
        messages = await peer.hears(10)
        assert str(messages[9].segment("OBR")[3]) == "R2"
        assert str(messages[9].segment("MSH")[10]) == str(messages[3].segment("MSH")[10])
        await becomes(settled(hub))
        assert queue.count(hub.hub.store, Choice(states=frozenset({"dead"}))) == 0
        # everything again, for a receiver that lost it: each record once, its newest version
        done = queue.replay(hub.hub.store, Choice(states=frozenset({"sent"}), destination="lis"))
        assert done.queued == 4
        await peer.hears(14)
        assert sorted(peer.ids()[10:]) == ["R1", "R2", "R3", "R4"]


async def test_a_facility_gets_what_it_may_see_under_its_own_numbers(running):
    with ExitStack() as stack:
        mine, theirs = (stack.enter_context(MllpPeer(encoding=each)) for each in ("utf-8", "gb18030"))
        town = destination("town", "mllp", facility="TWN", charset="GB18030", host="127.0.0.1", port=theirs.port, of=["CTY"])
        async with running(to(mine, of=["CTY"]), town) as hub:
            cty, twn = hub.client("system", "CTY"), hub.client("system", "TWN")
            await reported(cty, "R1")  # the town does not treat this person
            await mine.hears(1)
            card = patient()["identifier"][1]
            own = {"system": "urn:hub:TWN:patient", "value": "T-7", "type": {"coding": [{"code": "MR"}]}}
            await stored(twn, patient("t", identifier=[own, card]))
            visit = {"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}}
            await stored(
                twn,
                {
                    "resourceType": "Encounter",
                    "id": "e",
                    "status": "in-progress",
                    "subject": {"reference": "Patient/t"},
                    **visit,
                },
            )
            await reported(cty, "R2")
            await mine.hears(2)
            (message,) = await theirs.hears(1)
            await becomes(settled(hub, "town"))
            assert len(theirs.messages) == 1
    assert str(message.segment("OBR")[3]) == "R2"
    assert str(message.segment("PID")[3]).startswith("T-7^^^TWN^MR~")
    assert str(message.segment("PID")[5]) == "张三"
    assert str(message.segment("MSH")[18]) == "GB 18030-2000"


async def test_what_waits_can_be_given_up_and_a_destination_can_leave_and_come_back(running):
    (port,) = free_ports(1)
    away = destination("lis", "mllp", host="127.0.0.1", port=port)
    async with running(away) as hub:
        cty = hub.client("system", "CTY")
        await reported(cty, "R1", "R2", "R3")
        await becomes(lambda: lane(hub).failures)
        assert queue.discard(hub.hub.store, Choice(states=frozenset({"waiting"}), id="R1"), clock=hub.hub.clock) == 1
        assert [each.id for each in queue.items(hub.hub.store, Choice(states=frozenset({"waiting"})))] == ["R2", "R3"]
    async with running() as hub:  # taken out of county.toml: it gets nothing more, what waited is kept
        assert not lane(hub).active
        await reported(hub.client("system", "CTY"), "R4")
        assert lane(hub).waiting == 2
    with MllpPeer(port=port) as back:
        async with running(away) as hub:
            await back.hears(2)
            await becomes(settled(hub))
        assert back.ids() == ["R2", "R3"]


async def test_a_peer_that_never_answers_holds_nobody_else_up(running, peer):
    held = []
    silent = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    stuck = [destination(f"stuck-{n}", "mllp", host="127.0.0.1", port=port, timeout_seconds=600) for n in range(12)]
    async with silent, running(*stuck, to(peer)) as hub:
        await reported(hub.client("system", "CTY"), "R1", "R2", "R3")
        await peer.hears(3)
        assert [lane(hub, each["name"]).waiting for each in stuck] == [3] * 12
        silent.close()
        for writer in held:
            writer.close()
        await becomes(lambda: all(lane(hub, each["name"]).failures for each in stuck))  # so that nothing is waited for at the end


async def test_a_receiver_that_asks_for_a_certificate_gets_the_one_that_is_named(running, tmp_path):
    certificates = Certificates(tmp_path)
    for name in ("his", "hub"):
        certificates.make(name)
    folder = certificates.folder
    files = {"certificate": folder / "his.pem", "key": folder / "his.key", "client_ca": certificates.ca}
    receiving = Listening(Journal(), tls=files)
    try:
        host = {"host": "127.0.0.1", "port": receiving.listener.port, "tls": True, "ca_file": str(certificates.ca)}
        shown = {"certificate_file": str(folder / "hub.pem"), "key_file": str(folder / "hub.key")}
        async with running(destination("his", "mllp", **host, **shown), destination("bare", "mllp", **host)) as hub:
            await reported(hub.client("system", "CTY"), "R1")
            await becomes(settled(hub, "his"))
            await becomes(lambda: lane(hub, "bare").failures)
            assert [record.content.split(b"|")[9] for record in receiving.journal.records] == [
                each.control_id.encode() for each in queue.items(hub.hub.store, Choice(destination="his"))
            ]
    finally:
        receiving.listener.stop()


async def test_only_what_answers_an_order_of_a_facility(running, peer):
    ordered = to(peer, facility="*", ordered_by=["TWN"])
    async with running(ordered) as hub:
        cty, twn = hub.client("system", "CTY"), hub.client("system", "TWN")
        order = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"reference": "Patient/t"}}
        addressed = {"performer": [{"reference": "Organization/CTY"}], "authoredOn": "2999-01-01"}
        number = {"identifier": [{"system": "urn:hub:TWN:order", "value": "A7", "type": {"coding": [{"code": "PLAC"}]}}]}
        await stored(twn, patient("t"), {**order, **addressed, **number, "id": "s"})
        subject = {"subject": {"reference": "Patient/t"}}
        await stored(cty, sodium("o-R1", **subject), report("R1", **subject))
        await stored(
            cty, report("R2", result=[{"reference": "Observation/o-R1"}], **subject, basedOn=[{"reference": "ServiceRequest/s"}])
        )
        (message,) = await peer.hears(1)
        await becomes(settled(hub))
        assert (str(message.segment("OBR")[3]), str(message.segment("OBR")[2])) == ("R2", "A7")
        assert len(peer.messages) == 1
