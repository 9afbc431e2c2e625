"""Whom the embedded server runs as, and with whom it dies."""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import subprocess
import sys
import sysconfig
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from esteira.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Callable

    Manager = subprocess.Popen[str]
    Psql = Callable[..., str]

PACKAGES = [str(Path(__file__).parents[2]), sysconfig.get_path("purelib")]
MANAGER = """
import sys
from pathlib import Path
from esteira.embedded import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]), durable=False, bin_dir=Path(sys.argv[2]))
server.start()
print(server.pid, server.url(), flush=True)
sys.stdin.read()
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which PostgreSQL refuses to be")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")


@pytest.fixture
def start_manager(postgres_bin: Path) -> Callable[..., Manager]:
    """Start a Python that runs a server on a data directory until its input ends."""

    def start(data_dir: Path, python: str = sys.executable, **account: Any) -> Manager:
        command = [python, "-c", MANAGER, str(data_dir), str(postgres_bin)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PACKAGES)}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, text=True, env=environment, cwd="/", **pipes, **account)

    return start


@pytest.fixture
def nobody() -> dict[str, Any]:
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def python_for(account: dict[str, Any]) -> str:
    """Find a Python of our version that the account may run, together with our packages."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}."
    check = "import os, sys; assert sys.version.startswith(sys.argv[1]) and all(map(os.path.isdir, sys.argv[2:]))"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            command = [python, "-c", check, version, *PACKAGES]
            if subprocess.run(command, cwd="/", capture_output=True, check=False, **account).returncode == 0:
                return python
    pytest.skip("this account may run no Python of our version, or may not read our packages")


def read_address(manager: Manager) -> tuple[int, str]:
    assert manager.stdout is not None
    line = manager.stdout.readline()
    assert line, manager.communicate()[1]
    pid, url = line.split()
    return int(pid), url


def assert_dies_with(manager: Manager, server_pid: int) -> None:
    server = os.pidfd_open(server_pid)
    manager.kill()
    ended, _, _ = select.select([server], [], [], 10)
    os.close(server)
    assert ended, "the server still runs 10 s after its manager was killed"


@on_linux
def test_sigkill_of_the_manager_ends_the_server_and_the_next_one_starts(
    reachable_folder: Path, start_manager: Callable[..., Manager], psql: Psql
) -> None:
    with start_manager(reachable_folder / "data") as manager:
        pid, url = read_address(manager)
        psql("create table kept as select 1", url=url)
        assert_dies_with(manager, pid)
    with start_manager(reachable_folder / "data") as successor:
        _, url = read_address(successor)
        assert psql("select count(*) from kept", url=url) == "1"
        successor.communicate("")


@on_linux
def test_server_outlives_the_thread_that_started_it(reachable_folder: Path, postgres_bin: Path, psql: Psql) -> None:
    server = EmbeddedPostgres(reachable_folder / "data", durable=False, bin_dir=postgres_bin)
    starter = Thread(target=server.start)
    starter.start()
    starter.join()
    assert server._child is not None
    ended_early = server._child.exited.wait(0.5)
    answer = psql("select 1", url=server.url())
    server.stop()
    assert (ended_early, answer) == (False, "1")


def test_manager_that_forgets_to_stop_leaves_no_server_behind(
    reachable_folder: Path, start_manager: Callable[..., Manager]
) -> None:
    with start_manager(reachable_folder / "data") as manager:
        pid, _ = read_address(manager)
        _, errors = manager.communicate("")
    assert (manager.returncode, errors) == (0, "")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_ctrl_c_at_the_terminal_does_not_reach_the_server(reachable_folder: Path, postgres_bin: Path) -> None:
    with EmbeddedPostgres(reachable_folder / "data", durable=False, bin_dir=postgres_bin) as server:
        assert os.getpgid(server.pid) != os.getpgid(0)
        assert os.getsid(server.pid) != os.getsid(0)


@as_root
def test_root_runs_the_server_under_another_account_and_changes_no_parent(
    reachable_folder: Path, postgres_bin: Path
) -> None:
    before = reachable_folder.stat()
    with EmbeddedPostgres(reachable_folder / "deeper" / "data", durable=False, bin_dir=postgres_bin) as server:
        owner = Path(f"/proc/{server.pid}").stat().st_uid
        assert owner != 0
        assert server.data_dir.stat().st_uid == owner
        assert server.data_dir.parent.stat().st_uid == 0
    after = reachable_folder.stat()
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)


@as_root
def test_normal_user_runs_the_server_as_himself(
    reachable_folder: Path, start_manager: Callable[..., Manager], nobody: dict[str, Any], psql: Psql
) -> None:
    home = reachable_folder / "home"
    home.mkdir()
    os.chown(home, nobody["user"], nobody["group"])
    with start_manager(home / "data", python_for(nobody), **nobody) as manager:
        pid, url = read_address(manager)
        assert Path(f"/proc/{pid}").stat().st_uid == nobody["user"]
        assert psql("select 1", url=url) == "1"
        assert_dies_with(manager, pid)


@as_root
def test_folder_that_a_normal_user_may_not_write_to_is_named(
    reachable_folder: Path, start_manager: Callable[..., Manager], nobody: dict[str, Any]
) -> None:
    with start_manager(reachable_folder / "data", python_for(nobody), **nobody) as manager:
        _, errors = manager.communicate()
    assert f"no permission for {reachable_folder}/data.password: choose a data directory of yours" in errors
