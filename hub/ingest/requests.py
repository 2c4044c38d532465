"""What a command leaves for the running hub to do: rows in the journal's file, taken up within a second, each answered once.

Who may write into the data folder may do everything anyway, so a request needs no token; the audit names the account of the
machine. A hub that does not run does nothing: the command then opens the hub itself.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import apsw

from connectors.base import JournalUnavailable
from hub.errors import HubError, place_of
from hub.ingest.journal import Journal

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
TABLE = """CREATE TABLE IF NOT EXISTS desk_request (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, requested TEXT NOT NULL, answer TEXT)"""
Answer = dict[str, Any]
Handler = Callable[[Mapping[str, Any]], Answer]


def leave(journal: Journal, kind: str, body: Mapping[str, Any]) -> int:
    """Write the request; returns its number."""

    def work(connection: apsw.Connection) -> int:
        connection.execute(TABLE)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps(dict(body), ensure_ascii=False)
        connection.execute("INSERT INTO desk_request(kind, body, requested) VALUES (?, ?, ?)", (kind, text, now))
        return int(connection.last_insert_rowid())

    return journal.file.write(work)


def answer_to(journal: Journal, number: int, timeout: float) -> Answer | None:
    """What the hub answered: {"error": …} or its result; None if it has not within `timeout` seconds."""
    until = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        rows = journal.file.query("SELECT answer FROM desk_request WHERE id = ? AND answer IS NOT NULL", number)
        if rows:
            return dict(json.loads(rows[0][0]))
        if time.monotonic() > until:
            return None
        pause.wait(0.1)


class DeskRequests:
    """Of one hub: the oldest first, one at a time."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._handlers: dict[str, Handler] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="desk-requests", daemon=True)

    def serve(self, kind: str, handler: Handler) -> None:
        self._handlers[kind] = handler

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def work(self) -> int:
        """Answer what is open; how many that were."""
        rows = self._open()
        for number, kind, body in rows:
            self._answer(number, self._handled(kind, body))
        return len(rows)

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.work()
            except (JournalUnavailable, apsw.Error) as error:
                log.debug("requests cannot be read now: %s", type(error).__name__)

    def _open(self) -> list[tuple[Any, ...]]:
        query = self._journal.file.query
        if not query("SELECT 1 FROM sqlite_schema WHERE name = 'desk_request'"):
            return []
        return query("SELECT id, kind, body FROM desk_request WHERE answer IS NULL ORDER BY id LIMIT 100")

    def _handled(self, kind: str, body: str) -> Answer:
        handler = self._handlers.get(kind)
        if handler is None:
            return {"error": f"this hub does not know the request {kind}: it is of another release"}
        try:
            return handler(json.loads(body))
        except HubError as error:
            return {"error": error.message}
        except Exception as error:
            log.error("request %s: %s at %s", kind, type(error).__name__, place_of(error))  # noqa: TRY400
            return {"error": "the hub failed; its log says where"}

    def _answer(self, number: int, answer: Answer) -> None:
        text = json.dumps(answer, ensure_ascii=False)
        sql = "UPDATE desk_request SET answer = ? WHERE id = ?"
        self._journal.file.write(lambda connection: connection.execute(sql, (text, number)))
