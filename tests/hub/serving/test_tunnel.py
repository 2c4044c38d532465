"""A request handed from one process to another is the same request, and so is its answer."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from hub.errors import HubError
from hub.serving.tunnel import Gone, Tunnel


async def echo(request: Request) -> PlainTextResponse:
    body = await request.body()
    said = f"{request.method} {request.url.path}?{request.url.query} {request.headers['x-said']} {len(body)} {sum(body)}"
    return PlainTextResponse(said, 201, {"x-heard": "yes"})


async def numbers(request: Request) -> StreamingResponse:
    async def lines():
        for number in range(int(request.query_params["to"])):
            app.state.sent = number
            yield f"{number}\n" * 100

    return StreamingResponse(lines(), media_type="text/plain")


class Endless:
    """Answers until its client leaves."""

    def __init__(self, scope, receive, send):
        self.receive, self.send = receive, send

    def __await__(self):
        return self.run().__await__()

    async def run(self):
        await self.receive()
        leaving = asyncio.create_task(self.receive())
        await self.send({"type": "http.response.start", "status": 200, "headers": []})
        while not leaving.done():
            await self.send({"type": "http.response.body", "body": b"more", "more_body": True})
        app.state.ended.set()


async def broken(_: Request) -> None:
    raise ValueError("张三")


async def chat(websocket) -> None:
    await websocket.accept(subprotocol="fhir")
    async for text in websocket.iter_text():
        await websocket.send_text(text[::-1])
    app.state.ended.set()


app = Starlette(
    routes=[
        Route("/echo", echo, methods=["POST", "PATCH"]),
        Route("/numbers", numbers),
        Route("/endless", Endless),
        Route("/broken", broken),
        WebSocketRoute("/chat", chat),
    ]
)


async def hear(word: str) -> None:
    assert word == "up"
    app.state.ended.set()


async def reverse(content: bytes) -> bytes:
    return content[::-1]


async def fail(content: bytes) -> bytes:
    raise ValueError(content.decode())


async def wait(_: bytes) -> bytes:
    await asyncio.Event().wait()
    return b""


CALLS = {"reverse": reverse, "fail": fail, "wait": wait}


class Pair:
    async def __aenter__(self):
        app.state.ended = asyncio.Event()
        here, there = socket.socketpair()
        self.asking = await Tunnel.over(here, control=hear)
        self.answering = await Tunnel.over(there, app=app, calls=CALLS, control=hear)
        self.tasks = [asyncio.create_task(self.asking.run()), asyncio.create_task(self.answering.run())]
        transport = httpx.ASGITransport(self.asking, raise_app_exceptions=True)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://hub")
        return self

    async def __aexit__(self, *_):
        self.asking.close()
        await asyncio.wait_for(asyncio.gather(*self.tasks), 5)
        assert self.asking._streams == {} == self.answering._streams


def run(test):
    async def within():
        async with Pair() as pair:
            await asyncio.wait_for(test(pair), 20)

    asyncio.run(within())


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
def test_method_address_headers_body_and_answer_arrive(size):
    async def test(pair):
        body = b"\x07" * size
        answer = await pair.client.patch("/echo?name=%E5%BC%A0", content=body, headers={"x-said": "hello"})
        assert (answer.status_code, answer.headers["x-heard"]) == (201, "yes")
        assert answer.text == f"PATCH /echo?name=%E5%BC%A0 hello {size} {7 * size}"

    run(test)


def test_many_at_once_do_not_mix():
    async def test(pair):
        async def one(number):
            answer = await pair.client.post("/echo", content=b"x" * number, headers={"x-said": str(number)})
            assert answer.text.split()[2:4] == [str(number), str(number)]

        await asyncio.gather(*(one(number) for number in range(200)))

    run(test)


def test_a_long_answer_streams_and_a_slow_client_holds_it_back():
    async def test(pair):
        sent = []

        async def send(message):
            sent.append(message)
            if len(sent) == 3:
                for _ in range(50):
                    await asyncio.sleep(0)
                assert app.state.sent < 40  # a window ahead, not the whole answer

        scope = {"type": "http", "method": "GET", "path": "/numbers", "query_string": b"to=500", "headers": [], "asgi": {}}
        requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive():
            message = next(requests, None)
            return message or await asyncio.Future()

        await pair.asking(scope, receive, send)
        lines = b"".join(m.get("body", b"") for m in sent).split()
        assert (len(lines), lines[-1]) == (50_000, b"499")

    run(test)


def test_a_client_that_hangs_up_ends_the_work_for_it():
    async def test(pair):
        left = asyncio.Event()

        async def send(message):
            if message["type"] == "http.response.body":
                left.set()

        first = True

        async def receive():
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": b"", "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        scope = {"type": "http", "method": "GET", "path": "/endless", "query_string": b"", "headers": [], "asgi": {}}
        asking = asyncio.create_task(pair.asking(scope, receive, send))
        await asyncio.wait_for(app.state.ended.wait(), 10)
        await asking

    run(test)


def test_a_websocket_goes_both_ways():
    async def test(pair):
        to_app, from_app = asyncio.Queue(), asyncio.Queue()
        scope = {"type": "websocket", "path": "/chat", "query_string": b"", "headers": [], "subprotocols": ["fhir"], "asgi": {}}
        talking = asyncio.create_task(pair.asking(scope, to_app.get, from_app.put))
        to_app.put_nowait({"type": "websocket.connect"})
        assert (await from_app.get())["subprotocol"] == "fhir"
        to_app.put_nowait({"type": "websocket.receive", "text": "检验abc"})
        assert (await from_app.get())["text"] == "cba验检"
        to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await app.state.ended.wait()
        await talking

    run(test)


def test_a_fault_is_answered_and_its_text_logged_nowhere(caplog):
    async def test(pair):
        answer = await pair.client.get("/broken")
        assert answer.status_code == 500

    run(test)
    assert "ValueError" in caplog.text
    assert "张三" not in caplog.text


def test_when_the_other_process_ends_whoever_waits_is_told():
    async def test(pair):
        await pair.answering.say("up")
        await app.state.ended.wait()
        pair.answering.close()
        with pytest.raises(Gone):
            await pair.client.post("/echo", headers={"x-said": "?"})

    run(test)


def test_a_call_is_replied_to_and_its_failure_told_without_its_text(caplog):
    async def test(pair):
        replies = await asyncio.gather(*(pair.asking.ask("reverse", b"%d-" % number) for number in range(50)))
        assert replies == [(b"%d-" % number)[::-1] for number in range(50)]
        with pytest.raises(HubError, match="failed"):
            await pair.asking.ask("fail", "张三".encode())
        assert await pair.asking.ask("reverse") == b""

    run(test)
    assert "ValueError" in caplog.text
    assert "张三" not in caplog.text


def test_who_waits_for_a_reply_is_told_that_the_other_process_ended():
    async def test(pair):
        waiting = asyncio.create_task(pair.asking.ask("wait"))
        await pair.asking.ask("reverse")
        pair.answering.close()
        with pytest.raises(Gone):
            await waiting

    run(test)
