"""A DICOMweb archive over real HTTP that does what real ones do badly: counts wrongly, ignores offsets, fails for one file."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread

from tests.connectors.pacs import PASSWORD, USER


class WebArchivePeer:
    def __init__(self) -> None:
        self.files: dict[tuple[str, str, str], tuple[str, bytes]] = {}  # study, series, instance → date, file
        self.asked: list[str] = []
        self.down = False
        self.counts = True
        self.pages = True
        self.broken: set[str] = set()  # instances that it cannot give
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                peer.asked.append(self.path)
                status, kind, body = peer.answer(self.path, self.headers)
                self.send_response(status)
                self.send_header("content-type", kind)
                if status == 503:
                    self.send_header("retry-after", "0")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.web = f"http://127.0.0.1:{self._server.server_address[1]}/rs"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, files: list[bytes]) -> None:
        for content in files:
            ds = dcmread(BytesIO(content), stop_before_pixels=True)
            self.files[ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID] = (ds.StudyDate, content)

    def clear(self) -> None:
        self.files.clear()

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
        if self.down:
            return 503, "text/plain", b"maintenance"
        if headers.get("authorization") != "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode():
            return 401, "text/plain", b""
        asked = urlsplit(path)
        parts = asked.path.removeprefix("/rs/").split("/")
        if len(parts) == 6:
            return self._instance(parts[1], parts[3], parts[5])
        rows = self._rows(parts, {name: values[-1] for name, values in parse_qs(asked.query).items()})
        return (200, "application/dicom+json", json.dumps(rows).encode()) if rows else (204, "text/plain", b"")

    def _rows(self, parts: list[str], asked: Mapping[str, str]) -> list[dict[str, Any]]:
        level = {"studies": 0, "series": 1, "instances": 2}[parts[-1]]
        first, _, last = asked.get("StudyDate", "0-9").partition("-")
        held = [key for key, (day, _) in self.files.items() if first <= day <= last and list(key[:level]) == parts[1::2][:level]]
        uids = list(dict.fromkeys(key[level] for key in held))
        tag = ("0020000D", "0020000E", "00080018")[level]
        rows: list[dict[str, Any]] = [{tag: {"vr": "UI", "Value": [uid]}} for uid in uids]
        if self.counts and level == 0:
            for uid, row in zip(uids, rows, strict=True):
                row["00201206"] = {"vr": "IS", "Value": [len({key[1] for key in held if key[0] == uid})]}
                row["00201208"] = {"vr": "IS", "Value": [str(sum(key[0] == uid for key in held))]}
        if not self.pages:
            return rows
        offset = int(asked.get("offset", 0))
        return rows[offset : offset + int(asked.get("limit", 100))]

    def _instance(self, study: str, series: str, instance: str) -> tuple[int, str, bytes]:
        if instance in self.broken:
            return 410, "text/plain", b""
        _, content = self.files[study, series, instance]
        syntax = re.escape("1.2.840.10008.1.2.1").replace("\\", "")
        head = f"--b0undary\r\nContent-Type: application/dicom; transfer-syntax={syntax}\r\n\r\n".encode()
        body = head + content + b"\r\n--b0undary--\r\n"
        return 200, 'multipart/related; type="application/dicom"; boundary=b0undary', body
