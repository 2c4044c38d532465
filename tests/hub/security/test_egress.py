"""Where the hub does not go, however the address is spelled."""

from __future__ import annotations

import asyncio
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from hub.security.egress import Egress, NotAllowedOut


@pytest.mark.parametrize(
    "url",
    [
        "http://hub.example/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://0.0.0.0/",
        "https://[::]/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.100.100.200/",
        "https://[fe80::1]/",
        "https://[fec0::1]/",
        "https://[64:ff9b:1::7f00:1]/",
        "https://[::127.0.0.1]/",
        "https://[2001:db8::1]/",
        "https://[fd00:ec2::254]/",
        "https://224.0.0.1/",
        "https://user:secret@hub.example/",
        "https://hub.example@127.0.0.1/",
        "https://hub.example/#fragment",
        "https://hub.example:0/",
        "https://hub.example:99999/",
        "https://hub.example\\@127.0.0.1/",
        "https://hub.example/\r\nx: y",
        "https:///path",
        "ftp://hub.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//hub.example/",
        "",
        "https://" + "a" * 3000,
    ],
)
def test_refused(url):
    with pytest.raises(NotAllowedOut):
        Egress().check(url)


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ((), "https://receiver.example/hook?key=1"),
        ((), "https://[2606:4700::1111]/"),
        (("10.20.0.0/16",), "http://10.20.3.4:8080/"),
        (("his.county.example",), "http://his.county.example/x"),
        (("192.168.7.4:8080",), "http://192.168.7.4:8080/"),
    ],
)
def test_allowed(allow, url):
    Egress(allow).check(url)


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        (("10.20.0.0/16",), "http://10.21.3.4/"),
        (("192.168.7.4:8080",), "http://192.168.7.4:8081/"),
        (("169.254.0.0/16", "0.0.0.0/0"), "http://169.254.169.254/"),
        (("100.100.100.200",), "http://100.100.100.200/"),
    ],
)
def test_what_is_allowed_opens_nothing_else(allow, url):
    with pytest.raises(NotAllowedOut):
        Egress(allow).check(url)


@pytest.fixture
def canary():
    hits = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            hits.append((self.path, self.headers["host"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 1_000_000)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    server.hits = hits
    yield server
    server.shutdown()
    server.server_close()


def post(egress, url):
    return asyncio.run(egress.post(url, {}, b"{}", seconds=10))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", socket.gethostname()])
def test_a_name_of_this_machine_is_refused_after_it_was_resolved(canary, host):
    with pytest.raises((NotAllowedOut, OSError)):
        post(Egress(("10.0.0.0/8",)), f"http://{host}:{canary.server_port}/")
    assert canary.hits == []


def test_a_name_that_is_allowed_is_called_under_that_name_and_a_long_answer_is_cut_off(canary):
    answer = post(Egress(("localhost",)), f"http://localhost:{canary.server_port}/a?b=c")
    assert answer.status == 200
    assert canary.hits == [("/a?b=c", f"localhost:{canary.server_port}")]
