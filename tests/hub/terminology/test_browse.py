"""Looking into the tables that are here: found by pinyin and initials, laid beside another edition, and what has no counterpart."""

from __future__ import annotations

import pytest

from hub.errors import NotFound
from hub.terminology.browse import found, opened
from hub.terminology.tables import tables_of
from tests.hub.api.county import Client, Served

pytestmark = pytest.mark.anyio
ID_TYPES = "urn:oid:2.16.156.10011.2.3.1.1"
GRADES, GRADES_CN = "urn:hub:cn:cq:hospital-grade", "urn:hub:cn:cn-core:hospital-grade"


async def test_the_tables_are_listed_with_number_edition_source_and_size(hub: Served) -> None:
    listed = {(each.url, each.version): each for each in tables_of(hub.hub.terminology)}
    ethnic = listed["urn:oid:2.16.156.10011.2.3.3.3", "WS/T 364-2023"]
    assert (ethnic.oid, ethnic.count, ethnic.origin, ethnic.title_en) == ("2.16.156.10011.2.3.3.3", 56, "shipped", "Ethnic group")
    assert "GB/T 3304" in ethnic.source
    editions = {version: each.retired for (url, version), each in listed.items() if url == ID_TYPES}
    assert editions == {"WS/T 364-2023": False, "WS 364-2011": True}


async def test_a_code_is_found_in_every_table_by_code_name_pinyin_or_initials(hub: Served) -> None:
    for typed in ("少女", "不存在的名称"):
        assert found(hub.hub.terminology, typed) == []
    for typed in ("达斡尔族", "dawoer", "dwez"):
        assert [(row.code, row.display) for hit in found(hub.hub.terminology, typed) for row in hit.rows] == [("31", "达斡尔族")]
    first = opened(hub.hub.terminology, "urn:oid:2.16.156.10011.2.3.1.158", "WS/T 364-2023", typed="4")
    assert (first.rows[0].code, first.rows[1].depth) == ("4", 1)


async def test_two_editions_lie_side_by_side_whichever_way_the_map_was_drawn(hub: Served, admin: Client) -> None:
    page = opened(hub.hub.terminology, GRADES, "1", to=GRADES_CN)
    beside = {row.code: [(t.code, t.equivalence) for t in row.targets] for row in page.rows}
    assert (beside["2"], beside["1"], page.unmapped) == ([("9", "equivalent")], [("9", "inexact")], 4)
    missing = opened(hub.hub.terminology, GRADES, "1", to=GRADES_CN, unmapped=True)
    assert [row.code for row in missing.rows] == ["11", "12", "13", "14"]
    old = opened(hub.hub.terminology, ID_TYPES, "WS 364-2011")
    assert [(t.version, t.code) for t in old.rows[0].targets] == [("WS/T 364-2023", "01")]
    new = opened(hub.hub.terminology, ID_TYPES, "WS/T 364-2023", typed="08")
    assert ("urn:hub:cn:hb2024:id-type", "08") not in [(t.system, t.code) for t in new.rows[0].targets]
    many = [{"code": f"A{number:03}", "display": f"科室{number}"} for number in range(150)]
    stored = {"resourceType": "CodeSystem", "id": "d", "url": "urn:x:d", "version": "1", "status": "active", "content": "complete"}
    assert (await admin.put({**stored, "concept": many})).status_code == 201
    second = opened(hub.hub.terminology, "urn:x:d", "1", offset=100)
    assert (second.total, len(second.rows), second.rows[0].code, second.next) == (150, 50, "A100", 0)
    with pytest.raises(NotFound):
        opened(hub.hub.terminology, "urn:x:d", "2")
