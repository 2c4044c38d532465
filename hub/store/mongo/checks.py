"""What a server must be before a hub trusts it with records: one that has transactions and no known hole before the login.

CVE-2025-14847: a server that decompresses a message gives away memory to whoever can reach its port, before any login.
"""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient

from hub.errors import Unavailable

# Release series → the first version without a known hole that needs no login. A series that is not here was never mended.
MENDED: dict[tuple[int, int], tuple[int, int, int]] = {
    (4, 4): (4, 4, 30),
    (5, 0): (5, 0, 32),
    (6, 0): (6, 0, 27),
    (7, 0): (7, 0, 28),
    (8, 0): (8, 0, 17),
    (8, 2): (8, 2, 3),
}
OVERRIDE = "allow_unsafe_server = true under [store] in county.toml, or YITONG_MONGODB_UNSAFE=1"
Version = tuple[int, int, int]


def check_server(client: MongoClient[dict[str, Any]], *, allow_unsafe: bool) -> str:
    """Raise Unavailable, with what to do, for a standalone and for a version with a known hole; told only, if that is allowed."""
    hello = client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise Unavailable(
            "this MongoDB server stands alone and has no transactions: start it with --replSet rs0 and run rs.initiate() once,"
            " one member is enough"
        )
    version = version_of(client.server_info()["version"])
    if mended(version):
        return ""
    safe = MENDED.get(version[:2], max(MENDED.values()))
    problem = (
        f"MongoDB {_text(version)} gives away memory to anybody who reaches its port (CVE-2025-14847): install"
        f" {_text(safe)} or later"
    )
    if not allow_unsafe:
        raise Unavailable(f"{problem}. To use it all the same, where nobody else reaches it: {OVERRIDE}")
    return problem


def mended(version: Version) -> bool:
    first = MENDED.get(version[:2])
    return version >= first if first else version > max(MENDED.values())


def version_of(text: str) -> Version:
    """'8.0.17-rc1' → (8, 0, 17)"""
    major, minor, patch = (*text.partition("-")[0].split("."), "0", "0")[:3]
    return int(major), int(minor), int(patch)


def _text(version: Version) -> str:
    return ".".join(map(str, version))
