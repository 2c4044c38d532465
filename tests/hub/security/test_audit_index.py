"""The short way to an AuditEvent's index entries finds what the general way finds."""

from __future__ import annotations

from typing import Any

import pytest

from hub.search.extract import extract
from hub.security.access import Access
from hub.security.audit import audit_event
from hub.security.audit_index import entries_of, own_event
from hub.store.port import Key
from profiles.validation import validate

FULL = Access("张大夫 MD", "clinician", "CTY", token_id="ab12", address="127.0.0.1")
BARE = Access("pipeline", "system")


@pytest.mark.parametrize(
    ("access", "facts"),
    [
        (FULL, {"action": "R", "interaction": "read", "key": Key("Observation", "o1"), "patients": ("p1",)}),
        (FULL, {"action": "E", "interaction": "search-type", "type": "Patient", "query": "name=x", "patients": ("p1", "p2")}),
        (BARE, {"action": "E", "interaction": "transaction", "keys": [Key("Patient", "p1"), Key("Basic", "b1")], "outcome": "4"}),
        (BARE, {"action": "E", "interaction": "login"}),
    ],
)
def test_both_ways_agree(access: Access, facts: dict[str, Any]) -> None:
    event = audit_event(access, now=1_700_000_000_123, **facts)
    event = {**event, "id": "e1", "meta": {"tag": [{"system": "urn:hub:facility", "code": "CTY"}]}}
    assert validate(event) == ()
    assert own_event(event)
    assert set(entries_of(event)) == set(extract(event))
