"""A process that only reads; run by test_sqlite_reader.py. It answers each line on standard input with the Patients' ids."""

from __future__ import annotations

import sys
from pathlib import Path

from hub.errors import HubError
from hub.search.query import SearchQuery
from hub.store.sqlite import SqliteReader
from tests.contracts.resources import every_id


def main(folder: Path) -> None:
    store = SqliteReader(folder)
    for line in sys.stdin:
        try:
            if line == "write\n":
                store.write(lambda t: None)
            answer = " ".join(every_id(store, SearchQuery("Patient")))
        except HubError as error:
            answer = f"{type(error).__name__}: {error.message}"
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
