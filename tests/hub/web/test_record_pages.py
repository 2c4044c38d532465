"""The front page and what belongs to access: marks, services, sources, filters, the summary on paper, emergencies, who looked."""

from __future__ import annotations

import pytest

from tests.hub.web.county import ID_NUMBER

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_the_front_page_says_marks_services_and_sources(site, visitor):
    await visitor.login("CTY")
    page = (await visitor.get(f"/p/{site.person}")).text
    front = page[page.index('id="front"') : page.index('id="labs"')]
    assert all(said in front for said in ("高血压", "糖尿病", "139*****001", "示范县青山镇桃源村18号", "门诊", "住院"))
    assert "13900000001" not in page
    answered = page[page.index('id="answered"') : page.index('id="identity"')]
    assert all(name in answered for name in ("示范县人民医院", "示范县中医医院", "青山镇中心卫生院", "2026-03-10"))


async def test_the_timeline_by_kind_and_site(site, visitor):
    await visitor.login("CTY")

    async def timeline(query):
        page = (await visitor.get(f"/p/{site.person}?{query}")).text
        return page[page.index('id="timeline"') : page.index('id="problems"')]

    medicines = await timeline("kind=medicine")
    assert "硝苯地平缓释片" in medicines
    assert "生化检验报告" not in medicines
    assert "硝苯地平缓释片" not in await timeline("kind=medicine&site=TCM")
    assert "没有符合筛选条件的记录" in await timeline("kind=procedure")
    assert "生化检验报告" in await timeline("site=TCM")
    assert "没有符合筛选条件的记录" in await timeline("kind=%3Cscript%3E&site=x")


async def test_the_summary_on_paper(site, visitor):
    await visitor.login("CTY")
    answer = await visitor.get(f"/p/{site.person}/summary.pdf")
    assert (answer.status_code, answer.headers["content-type"], answer.content[:5]) == (200, "application/pdf", b"%PDF-")
    assert site.person not in (await visitor.get(f"/p/{site.stranger}/summary.pdf")).text
    assert (await visitor.get(f"/p/{site.stranger}/summary.pdf")).status_code == 404


async def test_an_emergency_opens_one_record_and_the_resident_reads_of_it(site, visitor):
    site.tokens["emergency"] = site.hub.tokens.create("急诊医师", "clinician", "FAR")
    site.tokens["resident"] = site.hub.tokens.create("居民本人", "resident", patient=site.person)
    await visitor.login("emergency")
    nobody = await visitor.get(f"/p/{site.person}")
    assert nobody.status_code == 404
    assert f"/emergency?person={site.person}" in nobody.text
    why = {"reason": "emergency", "text": "昏迷送医，需要了解用药与过敏情况"}
    for wrong, status in (({"number": ID_NUMBER, **why, "text": "急"}, 400), (why, 400), ({"number": "x", **why}, 404)):
        answer = await visitor.post("/emergency", **wrong)
        assert (answer.status_code, 'role="alert"' in answer.text) == (status, True)
    opened = await visitor.post("/emergency", number=ID_NUMBER, **why)
    assert opened.status_code == 303
    assert "曾晓燕" in (await visitor.get(opened.headers["location"])).text
    await visitor.login("resident")
    looks = (await visitor.get("/my/looks")).text
    assert all(said in looks for said in ("急诊医师", "邻县医院", "紧急调阅"))
    assert "曾晓燕" in (await visitor.get(f"/p/{site.person}")).text
    assert (await visitor.get(f"/my/looks?person={site.stranger}")).text.count("急诊医师") > 0, (
        "a resident's own, whatever is asked"
    )
    await visitor.login("CTY")
    assert (await visitor.get(f"/my/looks?person={site.person}")).status_code == 403
    await visitor.login("reader")
    assert (await visitor.post("/emergency", number=ID_NUMBER, **why)).status_code == 403
