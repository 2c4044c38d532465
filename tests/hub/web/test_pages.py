"""The pages as a browser without script sees them."""

from __future__ import annotations

import asyncio
import json
import re
from functools import wraps

import pytest

from hub.fhir_json import load
from hub.ingest.run import IntakeService
from hub.search.query import SearchQuery
from hub.settings import Channel
from hub.store.port import EVERYTHING
from hub.web import i18n
from hub.web.view import HERE
from profiles.names import STORED_OBJECT
from tests.hub.web.county import DISCHARGE_FILE


def in_loop(test):
    @wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


def events(site):
    site.hub.trail.settle()
    page = site.hub.store.search(SearchQuery("AuditEvent", count=200), EVERYTHING)
    return [load(version.body) for version in page.matches]


@in_loop
async def test_without_a_session_every_page_leads_to_the_login_and_back(visitor, site):
    answer = await visitor.get(f"/p/{site.person}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next=/p/{site.person}"
    fragment = await visitor.get(f"/p/{site.person}/labs", **{"hx-request": "true"})
    assert (fragment.status_code, fragment.headers["hx-redirect"][:12]) == (401, "/login?next=")
    answer = await visitor.login("TWP", next=f"/p/{site.person}")
    assert answer.headers["location"] == f"/p/{site.person}"


@in_loop
async def test_the_session_cookie_cannot_be_read_by_script_or_sent_by_another_site(visitor):
    await visitor.get("/login")
    answer = await visitor.post("/login", token=visitor.site.tokens["TWP"])
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("hub_session="))
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()


@in_loop
async def test_a_wrong_token_an_altered_cookie_and_a_foreign_form_open_nothing(visitor):
    await visitor.get("/login")
    wrong = await visitor.post("/login", token="x" * 43)
    assert wrong.status_code == 401
    assert "x" * 43 not in wrong.text
    visitor.csrf = "forged"
    assert (await visitor.post("/login", token=visitor.site.tokens["TWP"])).status_code == 403
    await visitor.login("TWP")
    visitor.csrf = "forged"
    assert (await visitor.post("/p", q="曾晓燕")).status_code == 403
    session = visitor.http.cookies["hub_session"]
    visitor.http.cookies.clear()
    visitor.http.cookies.set("hub_session", session[:-2] + "xx", domain="hub.test")
    assert (await visitor.get("/p")).status_code == 303


@in_loop
async def test_logging_out_ends_it(visitor):
    await visitor.login("TWP")
    assert (await visitor.post("/logout")).headers["location"] == "/login"
    assert (await visitor.get("/p")).status_code == 303


@pytest.mark.parametrize(
    "elsewhere", ["https://x.example/", "//x.example/p", "/\\x.example", "/fhir/Patient", "javascript:alert(1)", "//["]
)
def test_the_login_leads_only_to_pages_of_ours(visitor, elsewhere):
    assert asyncio.run(visitor.login("TWP", next=elsewhere)).headers["location"] == "/p"


@pytest.mark.parametrize(
    "text",
    ["曾晓燕", "曾晓", "zxy", "ZengXiaoYan", "zeng xiao yan", "339900196803120120", "C000001", "13900000001", "339900680312012"],
)
def test_one_person_is_found_by_whatever_is_at_hand(visitor, text):
    async def run():
        await visitor.login("TWP")
        return await visitor.post("/p", q=text, htmx=True)

    answer = asyncio.run(run())
    assert re.findall(r'href="/p/(\w+)"', answer.text) == [visitor.site.person]
    assert "3399**********0120" in answer.text
    assert "339900196803120120" not in answer.text
    assert all(name in answer.text for name in ("示范县人民医院", "示范县中医医院", "青山镇中心卫生院"))
    assert "<html" not in answer.text


@in_loop
async def test_too_many_too_short_none_and_nothing_each_say_what_to_do(visitor):
    await visitor.login("TWP")
    assert "超过 50 人" in (await visitor.post("/p", q="王小")).text
    assert "至少输入 2 个字符" in (await visitor.post("/p", q="王")).text
    assert "没有找到" in (await visitor.post("/p", q="无此人")).text
    assert "开始查找" in (await visitor.post("/p", q="  ")).text


@in_loop
async def test_what_is_typed_never_stands_in_the_audit(visitor, site):
    await visitor.login("TWP")
    await visitor.post("/p", q="曾晓燕")
    assert "曾晓燕" not in json.dumps(events(site), ensure_ascii=False, default=str)


@in_loop
async def test_a_person_at_a_glance(visitor, site):
    await visitor.login("TWP")
    page = (await visitor.get(f"/p/{site.person}")).text
    assert page.index("青霉素") < page.index("57 岁")
    for words in (
        "高危",
        "过敏性休克",
        "3 家机构的档案已关联",
        "原发性高血压",
        "硝苯地平缓释片",
        "心肺膈未见明显异常",
        "设备自动分析",
        "&lt;0.61",
        "出院小结",
    ):
        assert words in page
    assert page.count("未关联就诊的记录") >= 3
    assert "<script>" not in page
    assert not re.search(r"\son\w+=|\sstyle=", page)


@in_loop
async def test_allergies_unknown_are_not_allergies_denied(visitor, site):
    await visitor.login("FAR")
    page = (await visitor.get(f"/p/{site.stranger}")).text
    assert "过敏史未记录" in page
    assert "无已知过敏" not in page
    assert "没有检验结果" in page


@in_loop
async def test_what_no_browser_sends_is_no_failure_of_ours(visitor, site):
    await visitor.login("CTY")
    assert (await visitor.get(f"/p/{site.stranger}?visits={'9' * 5000}")).status_code in (200, 404)
    assert (await visitor.get("/login?next=//[")).status_code == 200
    assert (await visitor.http.post("/login", content=b"x", headers={"content-type": "multipart/form-data"})).status_code == 400


@in_loop
async def test_whoever_may_not_see_a_person_gets_a_page_that_helps_and_the_same_for_nobody(visitor, site):
    await visitor.login("TWP")
    foreign, nobody = await visitor.get(f"/p/{site.stranger}"), await visitor.get("/p/nobody")
    assert (foreign.status_code, nobody.status_code) == (404, 404)
    assert foreign.text.replace(site.stranger, "") == nobody.text.replace("nobody", "")
    assert "登记就诊" in foreign.text
    assert "赵远方" not in foreign.text
    assert any(event["outcome"] == "4" for event in events(site))


@in_loop
async def test_a_trend_keeps_sources_apart_and_has_a_table_twin(visitor, site):
    await visitor.login("TWP")
    whole = (await visitor.get(f"/p/{site.person}/labs?code=http://loinc.org|14682-9")).text
    part = (await visitor.get(f"/p/{site.person}/labs?code=http://loinc.org|14682-9", **{"hx-request": "true"})).text
    assert "<html" in whole
    assert "<html" not in part
    for page in (whole, part):
        assert page.count("<g class=") == 4
        assert all(value in page for value in ("96", "91", "88", "79"))
    text_only = (await visitor.get(f"/p/{site.person}/labs?code=http://loinc.org|1834-1")).text
    assert "<svg" not in text_only
    assert "&lt;0.61" in text_only
    assert "没有这个项目" in (await visitor.get(f"/p/{site.person}/labs?code=x|y")).text


@in_loop
async def test_the_prompt_shows_what_counts_what_does_not_and_why(visitor, site):
    await visitor.login("TWP")
    potassium = (await visitor.get(f"/p/{site.person}/recognition?item=L0101&context=outpatient")).text
    assert 'data-verdict="recognisable"' in potassium
    assert "应当互认" in potassium
    assert "距今 20 天，超出时限 7 天" in potassium
    lapsed = (await visitor.get(f"/p/{site.person}/recognition?item=L0203", **{"accept-language": "en"})).text
    assert 'data-verdict="reference-only"' in lapsed
    assert "not in date when performed" in lapsed
    chest = (await visitor.get(f"/p/{site.person}/recognition?item=R0101")).text
    assert 'data-verdict="recognisable"' in chest
    assert "诊断结论不在互认范围" in chest
    assert "无法调阅" in (await visitor.get(f"/p/{site.person}/recognition?item=R0201")).text
    assert 'data-verdict="recognisable"' in (await visitor.get(f"/p/{site.person}/recognition?item=E0101")).text
    assert 'data-verdict="none"' in (await visitor.get(f"/p/{site.person}/recognition?item=L0501")).text
    emergency = (await visitor.get(f"/p/{site.person}/recognition?item=L0101&context=emergency")).text
    assert emergency.index("既往结果：3 条") < emergency.index("3.2 mmol/L")
    for wrong in ("item=zzz", "item=L0101&context=moon", ""):
        assert "请选择项目" in (await visitor.get(f"/p/{site.person}/recognition?{wrong}")).text


@in_loop
async def test_a_county_wide_account_chooses_the_ordering_facility(visitor, site):
    await visitor.login("admin")
    assert 'name="orderer"' in (await visitor.get(f"/p/{site.person}")).text
    chosen = await visitor.get(f"/p/{site.person}/recognition?item=L0101&orderer=FAR")
    assert 'data-verdict="recognisable"' in chosen.text  # a verified national mark covers the neighbour
    assert "没有所属机构" in (await visitor.get(f"/p/{site.person}/recognition?item=L0101")).text


@in_loop
async def test_images_and_tracings_come_only_through_a_study_that_the_caller_may_see(visitor, site):
    await visitor.login("TWP")
    page = (await visitor.get(f"/p/{site.person}")).text
    assert 'href="/p/' + site.person + '/doc/ImagingStudy/chest"' in page
    chest = (await visitor.get(f"/p/{site.person}/doc/ImagingStudy/chest")).text
    tracing = (await visitor.get(f"/p/{site.person}/doc/DiagnosticReport/report-ecg")).text
    assert "心肺膈未见明显异常" in chest
    assert "窦性心律" in tracing
    jpeg = re.search(r'src="(/p/[^"]+\.jpg)"', chest)[1]
    svg = re.search(r'src="(/p/[^"]+\.svg)"', tracing)[1]
    picture, drawing = await visitor.get(jpeg), await visitor.get(svg)
    strip = await visitor.get(f"{svg}?layout=strip")
    assert [lead in drawing.text for lead in ("aVR", "V6")] == [True, True]
    assert [lead in strip.text.partition("</desc>")[2] for lead in (">II<", ">V6<")] == [True, False]
    assert "无法调阅" in (await visitor.get(f"/p/{site.person}/doc/ImagingStudy/head")).text
    assert (picture.headers["content-type"], picture.content[:2]) == ("image/jpeg", b"\xff\xd8")
    assert drawing.headers["content-type"].startswith("image/svg+xml")
    assert (await visitor.get(jpeg.replace(".jpg", ".svg").replace("/image/", "/ecg/"))).status_code == 404
    await visitor.login("FAR")
    assert (await visitor.get(jpeg)).status_code == 404
    assert (await visitor.get(jpeg.replace(site.person, site.stranger))).status_code == 404
    assert STORED_OBJECT not in page


@in_loop
async def test_a_document_is_shown_without_what_loads_or_runs(visitor, site):
    await visitor.login("TWP")
    page = (await visitor.get(f"/p/{site.person}/doc/Composition/discharge-1")).text
    assert "复查血钾正常" in page
    assert "alert(1)" not in page
    assert "x.example" not in page
    report = (await visitor.get(f"/p/{site.person}/doc/DiagnosticReport/report-chest")).text
    assert "心肺膈未见明显异常" in report
    assert (await visitor.get(f"/p/{site.person}/doc/Patient/{site.person}")).status_code == 404
    assert (await visitor.get(f"/p/{site.person}/doc/Composition/none")).status_code == 404


@in_loop
async def test_roles_that_see_less_are_told_so(visitor, site):
    await visitor.login("reader")
    page = (await visitor.get(f"/p/{site.person}")).text
    assert "不能查看过敏信息" in page
    assert "不能查看这部分内容" in page
    assert "心肺膈未见明显异常" in page
    await visitor.login("it")
    assert "不能查看患者信息" in (await visitor.post("/p", q="曾晓燕")).text
    refused = await visitor.get(f"/p/{site.person}")
    assert (refused.status_code, "账号类型不能查看" in refused.text) == (403, True)
    assert (await visitor.get("/p/nobody")).status_code == 403


@in_loop
async def test_the_original_file_is_a_download_that_nothing_runs(visitor, site):
    await visitor.login("TWP")
    document = f"/p/{site.person}/doc/Composition/discharge-1"
    link = re.search(rf'href="({document}/original/\w+)"', (await visitor.get(document)).text)[1]
    assert link.rpartition("/")[2] in (await visitor.get(f"/p/{site.person}/doc/DocumentReference/discharge-file")).text
    answer = await visitor.get(link)
    assert answer.content == DISCHARGE_FILE
    assert answer.headers["content-type"] == "application/xml"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert (await visitor.get(f"{document}/original/{'0' * 64}")).status_code == 404
    await visitor.login("FAR")
    assert (await visitor.get(link)).status_code == 404


@in_loop
async def test_an_ended_session_and_an_unknown_address_say_so_in_both_languages(visitor, site):
    await visitor.login("TWP")
    visitor.http.cookies.clear()
    visitor.http.cookies.set("hub_session", "1.gone.x", domain="hub.test")
    assert "登录已过期" in (await visitor.get("/login?next=/p")).text
    for language, words in (("zh-CN", "没有这个页面"), ("en", "There is no such page")):
        answer = await visitor.get("/nowhere", **{"accept-language": language})
        assert (answer.status_code, words in answer.text, f'lang="{language}"' in answer.text) == (404, True, True)


@pytest.mark.parametrize(("language", "words"), [("zh-CN", "编号 "), ("en", "Number ")])
def test_a_fault_of_ours_has_a_number_that_the_log_has_too(visitor, site, caplog, language, words):
    async def run():
        await visitor.login("TWP")
        pictures, aside = site.hub.data / "key-images", site.hub.data / "aside"
        pictures.mkdir(exist_ok=True)
        pictures.rename(aside)
        pictures.write_text("a file where the folder should be")
        try:
            page = (await visitor.get(f"/p/{site.person}/doc/ImagingStudy/chest")).text
            jpeg = re.search(r'src="(/p/[^"]+\.jpg)"', page)[1]
            return await visitor.get(jpeg, **{"accept-language": language})
        finally:
            pictures.unlink()
            aside.rename(pictures)

    answer = asyncio.run(run())
    assert answer.status_code == 500
    number = re.search(rf"{words}([0-9a-f]{{8}}) · \d{{4}}-", answer.text)[1]
    assert f"trace {number}: " in caplog.text
    assert "曾晓燕" not in caplog.text


@in_loop
async def test_a_facility_whose_system_is_silent_is_named(visitor, site, tmp_path):
    channel = Channel(name="tcm-emr", connector="files", facility="TCM", zone="+08:00", options={"folder": str(tmp_path / "inbox")})
    county = site.hub.county.model_copy(update={"channels": (channel,)})
    intake = IntakeService(tmp_path, county, site.hub.store, site.hub.blobs, clock=site.hub.clock, beside=tmp_path)
    site.app.state.intake = intake  # not started: its channel is down
    try:
        await visitor.login("TWP")
        page = (await visitor.get(f"/p/{site.person}")).text
        assert "最新数据可能尚未到达：示范县中医医院" in page
    finally:
        del site.app.state.intake
        intake.journal.close()


@in_loop
async def test_the_language_follows_the_choice_then_the_browser(visitor, site):
    await visitor.login("TWP")
    english = await visitor.get("/p", **{"accept-language": "fr, en;q=0.8, zh;q=0.5"})
    assert '<html lang="en">' in english.text
    assert '<html lang="zh-CN">' in (await visitor.get("/p", **{"accept-language": "fr"})).text
    await visitor.get("/p?lang=en")
    assert "Find a patient" in (await visitor.get("/p", **{"accept-language": "zh-CN"})).text
    page = (await visitor.get(f"/p/{site.person}")).text
    assert all(name in page for name in ("County Hospital", "Allergies", "57 years", "linked"))


@in_loop
async def test_headers_keep_pages_to_themselves(visitor, site):
    await visitor.login("TWP")
    answer = await visitor.get(f"/p/{site.person}")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "HX-Request" in answer.headers["vary"]
    assert len(answer.content) < 60_000


@in_loop
async def test_the_static_files_are_served_and_stay_small(visitor):
    for name, kind in (("hub.css", "text/css"), ("hub.svg", "image/svg+xml"), ("vendor/htmx-2.min.js", "text/javascript")):
        answer = await visitor.get(f"/static/{name}")
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, kind)


def test_both_languages_have_every_word_and_every_word_is_used():
    chinese, english = i18n.catalogue("zh-CN"), i18n.catalogue("en")
    assert set(chinese) == set(english)
    for key in chinese:
        assert re.findall(r"{\w+}", chinese[key]) == re.findall(r"{\w+}", english[key]) or sorted(
            re.findall(r"{\w+}", chinese[key])
        ) == sorted(re.findall(r"{\w+}", english[key])), key
    templates = "".join(path.read_text("utf-8") for path in (HERE / "templates").rglob("*.html"))
    asked = set(re.findall(r"t\('([\w.-]+)'[,)]", templates))
    assert asked <= set(chinese)


def test_the_style_sheet_stays_within_what_old_browsers_read():
    for sheet in (HERE / "static").glob("*.css"):
        css = sheet.read_text("utf-8")
        rules = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
        for forbidden in (":has(", "@layer", "@container", "&", " gap:", "url(", "@import"):
            assert forbidden not in rules, sheet.name
        assert len(css) < 16_000, sheet.name


def test_no_template_holds_script_or_style_of_its_own():
    for path in (HERE / "templates").rglob("*.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|\|\s*safe", text), path.name
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), path.name
