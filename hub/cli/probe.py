"""A channel tried out before it goes into county.toml: name, address, login, and a few records as they would be mapped.

Each step tells what it found; the first that fails ends it, with the cause as the system gave it. Nothing is stored, nothing is
marked as read: a folder's files stay where they are.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast
from urllib.parse import urlsplit

from connectors.base import Polling, SourceDenied, SourceRecord, SourceUnavailable
from connectors.ports import connected
from connectors.registry import UnknownChannel, build, config_of, manifests
from hub.cli.language import say
from hub.errors import HubError
from hub.security.outward import HttpOutward
from hub.settings import Channel

TCP_SECONDS = 5.0
FETCH_SECONDS = 60.0
SAMPLES = 5
PORTS = {"http": 80, "https": 443, "mysql": 3306, "mariadb": 3306, "postgresql": 5432, "oracle": 1521, "mssql": 1433, "sftp": 22}


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    ok: bool
    found: str
    fix: str = ""


def probe(channel: Channel, samples: list[SourceRecord]) -> Iterator[Step]:
    """Step by step; ends after the first that fails. Records that were fetched are put into `samples`."""
    try:
        config = config_of(channel)
        connector = build(channel, lambda *_: (), outward=HttpOutward)
    except UnknownChannel as error:
        yield Step(say("options", "选项"), ok=False, found=str(error), fix=say("mend the option named", "修改所指选项"))
        return
    yield Step(say("options", "选项"), ok=True, found=say("all understood", "均有效"))
    listens = manifests()[channel.connector].listens
    for step in () if listens else _reachable(config):
        yield step
        if not step.ok:
            return
    checked = _checked(connector.check, say("port can be taken", "端口可用") if listens else say("it lets us in", "可以访问"))
    yield checked
    if not checked.ok:
        return
    if listens:
        where = f"{getattr(config, 'host', '')}:{getattr(config, 'port', '')}"
        yield Step(
            say("records", "记录"), ok=True, found=say(f"come when the source sends to {where}", f"由来源系统发送至 {where}")
        )
        return
    yield _fetched(cast(Polling, connector), samples)


def _reachable(config: Any) -> Iterator[Step]:
    host, port = _address(config)
    if not host:
        return
    try:
        found = socket.getaddrinfo(host, port or None, type=socket.SOCK_STREAM)
    except OSError as error:
        fix = say("check the name, or the machine's name server", "检查主机名或 DNS 设置")
        yield Step("DNS", ok=False, found=f"{host}: {error.strerror or type(error).__name__}", fix=fix)
        return
    yield Step("DNS", ok=True, found=f"{host} → {found[0][4][0]}")
    if not port:
        return
    try:
        connected(host, port, TCP_SECONDS).close()
    except SourceUnavailable as reason:
        fix = say("is it running there? does a firewall stand between?", "服务是否运行?中间是否有防火墙?")
        yield Step("TCP", ok=False, found=str(reason), fix=fix)
        return
    yield Step("TCP", ok=True, found=f"{host}:{port}")


def _address(config: Any) -> tuple[str, int]:
    """Host and port of what is asked; ("", 0) where the options name none."""
    url = ""
    with suppress(Exception):  # a variable that is not set is told by `check`
        url = (
            str(config.read_url())
            if hasattr(config, "read_url")
            else str(getattr(config, "base_url", "") or getattr(config, "url", ""))
        )
    if "://" not in url:
        return str(getattr(config, "host", "") or ""), int(getattr(config, "port", 0) or 0)
    with suppress(ValueError):
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or PORTS.get(parts.scheme.partition("+")[0], 0)
    return "", 0


def _checked(check: Callable[[], None], well: str) -> Step:
    name = say("check", "检查")
    try:
        check()
    except SourceDenied as error:
        return Step(
            name,
            ok=False,
            found=say(f"refused: {error}", f"被拒绝:{error}"),
            fix=say("check the account and its rights", "检查账号及权限"),
        )
    except SourceUnavailable as error:
        return Step(
            name,
            ok=False,
            found=say(f"not reachable: {error}", f"无法连接:{error}"),
            fix=say("check address, port and network", "检查地址、端口和网络"),
        )
    except (HubError, OSError, LookupError) as error:
        return Step(name, ok=False, found=f"{type(error).__name__}: {error}")
    return Step(name, ok=True, found=well)


def _fetched(connector: Polling, samples: list[SourceRecord]) -> Step:
    name = say("records", "记录")
    pool = ThreadPoolExecutor(1)
    try:
        samples += pool.submit(_first, connector).result(FETCH_SECONDS)
    except TimeoutError:
        return Step(name, ok=False, found=say(f"none within {FETCH_SECONDS:.0f} s", f"{FETCH_SECONDS:.0f} 秒内没有返回"))
    except (SourceDenied, SourceUnavailable, HubError, OSError) as error:
        return Step(name, ok=False, found=f"{type(error).__name__}: {error}")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    there = len(samples)
    return Step(name, ok=True, found=say(f"{there} fetched", f"取得 {there} 条") if there else say("none there yet", "暂无记录"))


def _first(connector: Polling) -> list[SourceRecord]:
    pages = connector.fetch({})
    try:
        return list(islice((record for page in pages for record in page.records), SAMPLES))
    finally:
        close = getattr(pages, "close", None)
        if close:
            close()
