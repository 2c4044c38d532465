"""The workbench's commands as a newcomer types them, in a fresh folder, bad input included."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from demo.process import free_ports
from hub.app import open_hub
from hub.cli.certificates import expires
from hub.cli.doctor_channels import certificate_finding
from hub.cli.main import app
from hub.cli.options import stated
from hub.cli.toml import append_table, text_of
from hub.errors import HubError, Invalid
from hub.ingest.run import IntakeService
from hub.settings import load_county
from tests.hub.ingest.messages import RECORD, adt, oru, oru_record

Run = Callable[..., Result]

# Self-signed, of nobody: openssl req -x509 -newkey ec -subj /CN=example
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBeDCCAR+gAwIBAgIUXTUKz2zTSqAQzM1FGswQI9bSJRowCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHZXhhbXBsZTAeFw0yNjExMjIxMjU0MjFaFw0zNzExMDQxMjU0
MjFaMBIxEDAOBgNVBAMMB2V4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATl0yiF2VwInixnoav/p7rVQ6eaZxBILiq1p7+VirG4v1XUpH6F06MtmMzrtAZW
sQ7RUW+8fmoVLVQz9ptMqFQKo1MwUTAdBgNVHQ4EFgQU6CctmQMg19zpmzRa2tGH
n5BbJi0wHwYDVR0jBBgwFoAU6CctmQMg19zpmzRa2tGHn5BbJi0wDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiAaJu/Bjp+3Qy90EVYxTsmcFirfKHb/
cuJaUHZzGKe+pgIgByCEPkZMxFqBqa0lkw/yJBZqP2PhYIJ3WLKLIGCoE/s=
-----END CERTIFICATE-----
"""


@pytest.fixture(scope="module")
def run() -> Run:
    def yitong(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"YITONG_LANG": "en"})

    return yitong


def refused(result: Result, *words: str) -> None:
    """One clear line, as `main` prints it; no traceback."""
    assert isinstance(result.exception, HubError), result.output
    for word in words:
        assert word in result.exception.message


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Iterator[Path]:
    """A data folder by `init` and `connect`, into which a hub took 6 reports, an admission and two that are dead."""
    data = tmp_path_factory.mktemp("county") / "data"
    assert run("init", data, "--name", "山县", "--facility", "CTY=山县人民医院", "--yes").exit_code == 0
    (port,) = free_ports(1)
    options = ("--facility", "CTY", "--name", "cty-lis", "--option", f"port={port}", "--yes")
    assert run("connect", "hl7v2_mllp", "--data", data, *options).exit_code == 0
    hub = open_hub(data, load_county(data / "county.toml"))
    intake = IntakeService(data, hub.county, hub.store, hub.blobs, beside=data)
    intake.journal(*(oru_record(number) for number in range(1, 7)), adt(7, "A01", "P3"))
    intake.journal(replace(RECORD, key="B1", content=b"x"), replace(RECORD, key="B2", content=b"y"))
    while intake.pipeline.run_once():
        pass
    intake.stop()
    hub.close()
    return data


def test_init_writes_a_commented_county_and_never_over_one(tmp_path, run):
    data = tmp_path / "data"
    first = run("init", data, "--name", '山"县', "--facility", "CTY=山县 \\ 医院", "--facility", "TWP=东镇卫生院", "--yes")
    assert first.exit_code == 0
    assert "2 facilities" in first.output
    written = (data / "county.toml").read_text("utf-8")
    assert load_county(data / "county.toml").facility("CTY").name == "山县 \\ 医院"
    assert "# [[channel]]" in written
    again = run("init", data, "--name", "other")
    assert (again.exit_code, "already" in again.output) == (1, True)
    assert (data / "county.toml").read_text("utf-8") == written
    refused(run("init", tmp_path / "b", "--facility", "x y=1"), "CODE=NAME")
    refused(run("init", tmp_path / "b", "--facility", "A=1", "--facility", "A=2"), "twice")
    assert not (tmp_path / "b" / "county.toml").exists()


def test_connect_tells_what_there_is_and_explains_its_options(run):
    assert "hl7v2_mllp" in run("connect").output
    explained = run("connect", "sql", "--explain").output
    assert "views" in explained
    assert "required" in explained
    assert "rows a page" in explained
    refused(run("connect", "telepathy"), "telepathy", "hl7v2_mllp")


def test_connect_keeps_comments_and_refuses_what_is_there_already(county, run):
    path = county / "county.toml"
    before = path.read_text("utf-8")
    port = load_county(path).channels[0].options["port"]
    base = ("connect", "hl7v2_mllp", "--data", county, "--facility", "CTY", "--yes")
    refused(run(*base, "--name", "cty-lis", "--option", "port=0"), "already")
    refused(run(*base, "--name", "other", "--option", f"port={port}"), "same source")
    refused(run(*base, "--name", "Other"), "small letters")
    refused(run(*base, "--name", "other", "--facility", "XXX"), "no facility XXX")
    refused(run(*base, "--name", "other", "--option", "port"), "NAME=VALUE")
    refused(run(*base, "--name", "other", "--option", "port=0", "--map", "nothing"), "nothing")
    wrong = run(*base, "--name", "other", "--option", "prot=1")
    assert (wrong.exit_code, "prot: no such option" in wrong.output) == (1, True)
    assert path.read_text("utf-8") == before
    assert before.startswith("# 山县")


def test_connect_shows_records_as_they_would_be_mapped_masked_and_leaves_them_there(tmp_path, run):
    data, inbox = tmp_path / "data", tmp_path / "inbox"
    inbox.mkdir()
    for number in (1, 2):
        (inbox / f"{number}.hl7").write_bytes(oru(number))
    run("init", data, "--facility", "CTY=x", "--yes")
    options = ("--option", f"folder={inbox}", "--option", "settle_seconds=0", "--facility", "CTY", "--name", "files", "--yes")
    made = run("connect", "files", "--data", data, *options)
    assert made.exit_code == 0, made.output
    assert "hl7v2 → Patient" in made.output
    assert "测试1" not in made.output
    assert sorted(path.name for path in inbox.glob("*.hl7")) == ["1.hl7", "2.hl7"]
    assert load_county(data / "county.toml").channels[0].options["folder"] == str(inbox)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mariadb+pymysql://u:geheim@no.such.host.invalid/his", "DNS"),
        ("mariadb+pymysql://u:geheim@127.0.0.1:1/his", "TCP"),
    ],
)
def test_connect_names_the_step_that_failed_and_no_password(tmp_path, run, monkeypatch, url, says):
    monkeypatch.setenv("HIS_URL", url)
    view = 'views=[{name="v_patient", key=["patient_id"], changed_at="changed_at"}]'
    options = ("--option", "url_env=HIS_URL", "--option", view, "--name", "his", "--yes")
    failed = run("connect", "sql", "--data", tmp_path, *options)
    assert failed.exit_code == 1
    assert f"✗ {says}" in failed.output
    assert "geheim" not in failed.output
    assert not (tmp_path / "county.toml").exists()


def test_dead_messages_are_discarded_with_a_reason_and_taken_back(county, run):
    discard = ("messages", "discard", "--data", county, "--channel", "cty-lis", "--cause", "no MSH segment")
    refused(run(*discard, "--reason", "x", "--yes"), "why")
    assert run(*discard, "--reason", "测试数据").exit_code == 1  # nobody at the terminal, and no --yes
    assert "2 discarded" in run(*discard, "--reason", "测试数据", "--yes").output
    assert run("messages", "list", "--data", county, "--state", "dead").exit_code == 1
    listed = json.loads(run("messages", "list", "--data", county, "--state", "discarded", "--json").output)
    assert {(each["control"], each["cause"]) for each in listed["messages"]} == {("B1", "no MSH segment"), ("B2", "no MSH segment")}
    assert run(*discard, "--reason", "测试数据", "--yes").exit_code == 1
    first = listed["messages"][0]["seq"]
    assert "1 taken back" in run("messages", "discard", first, "--data", county, "--undo", "--reason", "误操作恢复", "--yes").output
    assert "1 taken back" in run(*discard, "--undo", "--reason", "误操作恢复", "--yes").output


def test_messages_are_listed_searched_and_shown(county, run):
    listed = json.loads(run("messages", "list", "--data", county, "--state", "dead", "--json").output)
    assert [each["control"] for each in listed["messages"]] == ["B2", "B1"]
    assert listed["count"] == 2
    found = json.loads(run("messages", "search", "小芳", "--data", county, "--json").output)
    assert [each["seq"] for each in found["messages"]] == [7]
    assert run("messages", "list", "--data", county, "--patient", "nobody").exit_code == 1
    assert "no MSH segment" in run("messages", "causes", "--data", county).output
    shown = run("messages", "show", 7, "--data", county)
    assert shown.exit_code == 0, shown.output
    assert "PID-5" in shown.output
    assert "王小芳" not in shown.output


def test_who_opens_a_message_says_why_and_the_audit_keeps_it(county, run):
    refused(run("messages", "show", 7, "--data", county, "--open"), "--reason")
    refused(run("messages", "show", 7, "--data", county, "--reason", "curious"), "--open")
    refused(run("messages", "show", 7, "--data", county, "--open", "--reason", " x "), "why")
    opened = run("messages", "show", 7, "--data", county, "--open", "--reason", "家属来电核对", "--json")
    assert "王小芳" in opened.output
    logged = b"".join(path.read_bytes() for path in (county / "audit").iterdir())
    assert b"yitong messages show" in logged


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("messages", "list", "--state", "lost"), "lost"),
        (("messages", "list", "--since", "yesterday"), "yesterday"),
        (("messages", "show", 4711), "4711"),
        (("replay", "--state", "lost"), "lost"),
        (("replay", "--since", "soon", "--dry-run"), "soon"),
        (("codes", "confirm", "urn:a:b", "K"), "--to"),
        (("codes", "confirm", "urn:hub:CTY:item", "QQQ", "--suggested"), "no record"),
        (("codes", "confirm", "unit", "K", "--local", "--yes"), "table of the mapper"),
        (("outbox", "items", "--state", "lost"), "lost"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(county, run, arguments, word):
    refused(run(*arguments, "--data", county), word)


def test_a_folder_without_a_hub_is_told(tmp_path, run):
    for command in (("messages", "list"), ("codes", "list"), ("replay",), ("replay", "--requests"), ("outbox", "list")):
        refused(run(*command, "--data", tmp_path), "no journal")
    assert list(tmp_path.iterdir()) == []


def test_a_replay_counts_first_shows_three_and_may_wait(county, run):
    tried = run("replay", "--data", county, "--text", "项目2", "--dry-run")
    assert (tried.exit_code, "6 records match." in tried.output) == (0, True)
    assert run("replay", "--data", county, "--cause", "no such cause").exit_code == 1
    paused = run("replay", "--data", county, "--state", "dead", "--paused")
    number = paused.output.split("Request ")[1].split()[0]
    assert "paused" in run("replay", "--data", county, "--requests").output
    assert run("replay", "--data", county, "--cancel", number).exit_code == 0
    assert run("replay", "--data", county, "--cancel", number).exit_code == 1
    assert run("replay", "--data", county, "--control-id", "M1", "--rate", "50").exit_code == 0


def test_a_file_is_previewed_by_a_channels_maps(county, run, tmp_path):
    file = tmp_path / "oru.hl7"
    file.write_bytes(oru(1))
    shown = run("map", "preview", file, "--data", county, "--channel", "cty-lis")
    assert (shown.exit_code, "3 Observation" in shown.output) == (0, True)
    assert "测试1" not in shown.output
    refused(run("map", "preview", file, "--data", county, "--channel", "nobody"), "nobody", "cty-lis")
    file.write_text("what is this")
    refused(run("map", "preview", file), "--kind")


def test_a_changed_map_that_is_worse_ends_with_one(county, run, tmp_path):
    new = tmp_path / "county.toml"
    new.write_text((county / "county.toml").read_text("utf-8") + 'maps = ["cty-item"]\n', "utf-8")
    worse = run("map", "diff", "--data", county, "--old", new, "--new", county / "county.toml", "--json")
    assert worse.exit_code == 1
    assert json.loads(worse.output)["regressions"] == 6


def test_tables_are_tested_by_their_examples(run, tmp_path):
    file = tmp_path / "his.toml"
    file.write_text("[table]\n")
    assert isinstance(run("map", "test", file).exception, Invalid)


def test_codes_go_to_a_spreadsheet_and_come_back_decided(county, run, tmp_path):
    listed = run("codes", "list", "--data", county)
    assert (listed.exit_code, "urn:hub:CTY:item" in listed.output) == (1, True)
    sheet = tmp_path / "codes.csv"
    assert run("codes", "export", sheet, "--data", county).exit_code == 0
    refused(run("codes", "export", sheet, "--data", county), "already")
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["target_code"] = "local"
    rows[0] |= {"target_system": "http://loinc.org", "target_code": "24320-4"}
    with sheet.open("w", encoding="gb18030", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert run("codes", "import", sheet, "--data", county).exit_code == 1  # nobody to ask
    assert run("codes", "import", sheet, "--data", county, "--yes").exit_code == 0
    left = json.loads(run("codes", "list", "--data", county, "--json").output)
    assert {gap["decided"] for gap in left} == {"unmatched"}
    assert len(left) == len(rows) - 1


def test_doctor_tells_silence_and_what_is_dead(county, run):
    found = json.loads(run("doctor", "--data", county, "--json").output)
    says = {finding["check"]: finding for finding in found}
    assert "silent for" in says["Records of cty-lis"]["found"]
    assert says["Message index"]["state"] == "ok"
    assert says["Channel cty-lis"]["state"] == "ok"


def test_doctor_tells_when_the_certificates_of_a_destination_end(tmp_path, run):
    data, path = tmp_path / "data", tmp_path / "receiver.pem"
    run("init", data, "--facility", "CTY=山县人民医院", "--yes")
    path.write_text(CERTIFICATE)
    options = f'host = "127.0.0.1"\nport = 2575\ntls = true\nca_file = "{path}"\ncertificate_file = "{tmp_path / "none.pem"}"\n'
    destination = 'name = "his"\nkind = "mllp"\nfacility = "CTY"\ncriteria = ["DiagnosticReport?status=final"]\n'
    with (data / "county.toml").open("a", encoding="utf-8") as county:
        county.write(f"\n[[destination]]\n{destination}{options}")
    found = {each["check"]: each["state"] for each in json.loads(run("doctor", "--data", data, "--json").output)}
    assert (found["Certificate receiver.pem"], found["Certificate none.pem"]) == ("ok", "broken")


def test_a_certificate_tells_its_last_day(tmp_path):
    path = tmp_path / "c.pem"
    for text in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"certificate"):
            expires(path)
        assert certificate_finding("c", path, datetime.now(UTC)).state == "broken"
    assert certificate_finding("c", tmp_path / "none.pem", datetime.now(UTC)).state == "broken"
    path.write_text(CERTIFICATE)
    end = expires(path)
    for left, state in ((timedelta(days=60), "ok"), (timedelta(days=9), "warning"), (timedelta(days=-1), "broken")):
        assert certificate_finding("c", path, end - left).state == state


@pytest.mark.parametrize("value", ['a"b\\c\n\x00\x7f中', True, 3, 2.5, ["x", 1], {"a b": {"c": False}}])
def test_values_are_written_as_toml_reads_them(tmp_path, value):
    import tomllib

    assert tomllib.loads(f"v = {text_of(value)}")["v"] == value


def test_a_table_is_added_only_to_a_file_that_is_read_back(tmp_path):
    path = tmp_path / "county.toml"
    path.write_bytes(b'# mine\r\n[county]\r\nname = "x"')
    append_table(path, "channel", {"name": "a", "connector": "files", "folder": "/in"})
    assert path.read_bytes().startswith(b"# mine\r\n")
    before = path.read_bytes()
    with pytest.raises(Invalid, match="stated twice"):
        append_table(path, "channel", {"name": "a", "connector": "files"})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["county.toml"]


def test_options_are_toml_where_they_can_be():
    found = stated(["port=2575", "host=his.county", "tls.key=/k.pem", "known_only=true", 'views=[{name="v"}]', "empty="])
    assert (found["port"], found["host"], found["tls"], found["known_only"]) == (2575, "his.county", {"key": "/k.pem"}, True)
    assert (found["views"], found["empty"]) == ([{"name": "v"}], "")
    with pytest.raises(Invalid, match="a value of its own"):
        stated(["tls=1", "tls.key=2"])
