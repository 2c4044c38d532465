from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hub.errors import Invalid, NotFound
from hub.security import tokens
from hub.security.tokens import DAY, TokenStore


class Clock:
    now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


def test_a_token_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    text = store.create("张大夫", "clinician", "CTY")
    assert len(text) >= 43
    access = store.resolve(text)
    assert access is not None
    assert (access.name, access.role, access.facility, access.purpose) == ("张大夫", "clinician", "CTY", "TREAT")
    assert text.encode() not in (tmp_path / tokens.FILE).read_bytes()
    assert (tmp_path / tokens.FILE).stat().st_mode & 0o077 == 0
    assert store.resolve(text + "x") is None


def test_a_token_expires(tmp_path: Path) -> None:
    clock = Clock()
    store = TokenStore(tmp_path, clock=clock)
    text = store.create("a", "admin", days=1)
    assert store.resolve(text) is not None
    clock.now += DAY
    assert store.resolve(text) is None


def test_a_revoked_token_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TokenStore(tmp_path)
    text = store.create("a", "admin")
    assert store.resolve(text) is not None
    [info] = store.list()
    store.revoke(info.id)
    assert store.resolve(text) is None
    assert store.list()[0].revoked
    with pytest.raises(NotFound):
        store.revoke("nothing")


def test_another_process_makes_tokens_while_this_one_serves(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    code = "import sys, pathlib; from hub.security.tokens import TokenStore; "
    code += "print(TokenStore(pathlib.Path(sys.argv[1])).create('cli', 'it'))"
    made = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    access = store.resolve(made.stdout.strip())
    assert access is not None
    assert access.role == "it"


@pytest.mark.parametrize(("name", "role"), [("", "admin"), ("a", "king")])
def test_a_token_needs_a_name_and_a_known_role(tmp_path: Path, name: str, role: str) -> None:
    with pytest.raises(Invalid):
        TokenStore(tmp_path).create(name, role)  # type: ignore[arg-type]
