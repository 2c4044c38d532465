"""Logs as text for a person, or a JSON object a line for what collects them. Neither holds a patient's data: no module logs any."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

from hub.errors import place_of

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
NAMED = "YITONG_LOG"  # json


class JsonLines(logging.Formatter):
    """time, level, logger, message; of an exception its class and place, never its text, which may quote a record."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            said |= {"error": type(error).__name__, "at": place_of(error)}
        return json.dumps(said, ensure_ascii=False)


def set_up_logs(*, as_json: bool = False) -> None:
    """For this process and, by the environment, for those that it starts."""
    if as_json:
        os.environ[NAMED] = "json"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if os.environ.get(NAMED) == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
