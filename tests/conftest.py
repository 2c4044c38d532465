"""For every test: hypothesis draws the same examples each time, so a red run is a change and never chance."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.mongod"]

settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")
