"""Real database servers, started from the system's own binaries in a folder of their own and stopped afterwards.

A server that is not installed fails the test and says what to install: a silent skip would leave half the dialects unproven.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

STARTING = 60  # seconds a server may take on a busy machine


def _program(name: str, package: str, *patterns: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found:
        return found
    for pattern in patterns:
        for path in sorted(Path("/").glob(pattern), reverse=True):
            return str(path)
    pytest.fail(f"{name} is not installed; this test needs it: apt-get install {package}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _as_user(user: str) -> tuple[list[str], int | None]:
    """Both servers refuse to run as root; their packages bring an account each."""
    if os.geteuid() != 0:
        return [], None
    return ["runuser", "-u", user, "--"], pwd.getpwnam(user).pw_uid


@contextmanager
def _home(user: str) -> Iterator[tuple[Path, list[str]]]:
    prefix, uid = _as_user(user)
    folder = Path(tempfile.mkdtemp(prefix="yt-db-", dir="/tmp"))  # short: a Unix socket's path has 107 bytes
    if uid is not None:
        os.chown(folder, uid, -1)
    try:
        yield folder, prefix
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def _answers(url: str) -> bool:
    """An open port is not enough: a server may listen before it lets anybody in."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        engine.connect().close()
    except sa.exc.OperationalError:
        return False
    return True


@contextmanager
def _serving(command: list[str], folder: Path, url: str, stop: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    log = folder.parent / f"{folder.name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            deadline = time.monotonic() + STARTING
            while not _answers(url):
                assert process.poll() is None, log.read_text("utf-8", "replace")[-3000:]
                assert time.monotonic() < deadline, log.read_text("utf-8", "replace")[-3000:]
                time.sleep(0.05)
            yield
        finally:
            os.killpg(process.pid, stop)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)
            log.unlink(missing_ok=True)


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL of our own; yields the URL of its superuser's database."""
    with postgresql_that_stops() as server:
        server.start()
        yield server.url


class Postgresql:
    """One that is started, and killed, as often as a test likes."""

    def __init__(self, command: list[str], folder: Path, port: int) -> None:
        self.url = f"postgresql+psycopg://owner@127.0.0.1:{port}/postgres"
        self._command, self._folder = command, folder
        self._running = ExitStack()

    def start(self) -> None:
        # SIGTERM would wait for every client to leave
        self._running.enter_context(_serving(self._command, self._folder, self.url, signal.SIGINT))

    def stop(self) -> None:
        """At once: every session is ended."""
        self._running.close()


@contextmanager
def postgresql_that_stops() -> Iterator[Postgresql]:
    """Its data are made, it does not run yet."""
    initdb = _program("initdb", "postgresql", "usr/lib/postgresql/*/bin/initdb")
    server = str(Path(initdb).with_name("postgres"))
    with _home("postgres") as (folder, prefix):
        data, port = folder / "data", _free_port()
        made = ["-D", str(data), "-U", "owner", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        _run([*prefix, initdb, *made], folder)
        # password for readers, trust for the owner: the tests need both a right and a wrong one
        hba = "host all owner 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (data / "pg_hba.conf").write_text(hba)
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", f"unix_socket_directories={folder}"]
        command = [*prefix, server, "-D", str(data), *options, "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        server = Postgresql(command, folder, port)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def mariadb() -> Iterator[str]:
    """A MariaDB of our own; yields the URL of its owner's database `his`."""
    install = _program("mariadb-install-db", "mariadb-server")
    server = _program("mariadbd", "mariadb-server")
    with _home("mysql") as (folder, prefix):
        data, port, start = folder / "data", _free_port(), folder / "start.sql"
        quiet = ["--no-defaults", f"--datadir={data}", "--innodb-flush-method=nosync", "--innodb-log-file-size=8M"]
        _run([*prefix, install, *quiet, "--auth-root-authentication-method=normal", "--skip-test-db"], folder)
        start.write_text(  # one statement a line: the server reads no further in a line
            "CREATE DATABASE his CHARACTER SET utf8mb4;\n"
            "CREATE USER owner@'127.0.0.1' IDENTIFIED BY 'owner';\n"
            "GRANT ALL ON *.* TO owner@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        start.chmod(0o644)
        options = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/s", f"--pid-file={folder}/pid"]
        more = ["--skip-name-resolve", "--innodb-buffer-pool-size=16M", f"--init-file={start}"]
        url = f"mysql+pymysql://owner:owner@127.0.0.1:{port}/his"
        with _serving([*prefix, server, *quiet, *options, *more], folder, url):
            yield url
