"""A sample of the write-and-sync kills; the whole of it is `make write-kills`."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_end_is_the_same_wherever_a_write_or_a_sync_was_the_last():
    command = [sys.executable, "-m", "tests.end_to_end.write_kills", "--every", "700", "--start", "41"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for place in ("journal", "store"):
        assert re.search(rf"killed at the {place} +[1-9]", done.stdout), done.stdout
