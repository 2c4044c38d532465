"""Receivers of what a hub sends: python-hl7's MLLP server, which answers as it is told to, and counts what it took."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hl7
from hl7.mllp import start_hl7_server

SECONDS = 30.0


@dataclass
class MllpPeer:
    """`answer` says the code for each message in turn, "" for none: then the connection is closed. Without it AA."""

    answer: Callable[[hl7.Message], str] = lambda _: "AA"
    port: int = 0
    encoding: str = "utf-8"
    messages: list[hl7.Message] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> MllpPeer:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(SECONDS)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> Any:
        return await start_hl7_server(self._conversation, host="127.0.0.1", port=self.port, encoding=self.encoding)

    async def _end(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _conversation(self, reader: Any, writer: Any) -> None:
        try:
            while not writer.is_closing():
                message = await reader.readmessage()
                code = self.answer(message)
                with self.changed:
                    self.messages.append(message)
                    self.changed.notify_all()
                if not code:
                    return
                writer.writemessage(message.create_ack(code))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def ids(self) -> list[str]:
        """Of the reports, as they came."""
        return [str(message.segment("OBR")[3]) for message in self.messages]

    def wait(self, count: int) -> list[hl7.Message]:
        with self.changed:
            done = self.changed.wait_for(lambda: len(self.messages) >= count, SECONDS)
        assert done, f"{len(self.messages)} of {count} messages came"
        return list(self.messages)

    async def hears(self, count: int) -> list[hl7.Message]:
        return await asyncio.to_thread(self.wait, count)
