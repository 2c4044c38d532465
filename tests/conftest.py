"""For every test: hypothesis draws the same examples each time, so a red run is a change and never chance.

And the order: files with slow tests first, so that no worker is left alone with one of them at the end.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.memory import memory

pytest_plugins = ["tests.mongod"]

settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")


def pytest_configure() -> None:
    if (folder := memory()) is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))  # tmp_path lies there


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
