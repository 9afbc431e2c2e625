from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import esteira_migrations
from scripts.freeze_migration import FROZEN, PACKAGED_ROLES, frozen, packaged_roles

if TYPE_CHECKING:
    from collections.abc import Callable

VERSIONS = Path(esteira_migrations.__file__).parent / "versions"
# `sha256sum versions/0001_initial.*` at the release that first ships them; from then on they never change.
RELEASED = Path(__file__).with_name("released.sha256")


def schema_dump(bin_dir: Path, url: str) -> str:
    program = bin_dir / "pg_dump"
    supported = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    # Without a key of ours newer releases write a random one into the dump.
    key = ["--restrict-key=same"] if "--restrict-key" in supported else []
    days = "--exclude-table=esteira.job_finished_*"
    return subprocess.run([program, "-s", *key, days, url], capture_output=True, text=True, check=True).stdout


def days(psql: Callable[..., str], url: str) -> str:
    return psql("select count(*) from pg_inherits where inhparent = 'esteira.job_finished'::regclass", url=url)


def changed_files(listing: str, folder: Path) -> list[str]:
    entries = [line.split() for line in listing.splitlines() if line and not line.startswith("#")]
    return [
        name
        for digest, name in entries
        if not (folder / name).is_file() or hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
    ]


def test_the_migrations_make_the_same_schema_as_install_sql(
    postgres_bin: Path, database_url: str, empty_database_url: str, psql: Callable[..., str]
) -> None:
    esteira_migrations.upgrade(empty_database_url)
    installed = schema_dump(postgres_bin, database_url)
    assert "CREATE TABLE esteira.job_live" in installed
    assert schema_dump(postgres_bin, empty_database_url) == installed
    assert days(psql, empty_database_url) == days(psql, database_url) == "15"


def test_the_first_revision_is_frozen_from_what_sql_says_now() -> None:
    if FROZEN.name in RELEASED.read_text():
        pytest.skip("it is released: sql/ goes on, with new revisions")
    assert FROZEN.read_text() == frozen(), "run: make freeze"


def test_the_roles_of_the_package_are_what_sql_says_now() -> None:
    assert PACKAGED_ROLES.read_text() == packaged_roles(), "run: make freeze"


def test_every_revision_has_its_sql_beside_it_and_nothing_else_lies_there() -> None:
    revisions = sorted(path.stem for path in VERSIONS.glob("*.py"))
    assert revisions
    assert sorted(path.stem for path in VERSIONS.glob("*.sql")) == revisions


def test_released_revisions_never_change() -> None:
    assert changed_files(RELEASED.read_text(), VERSIONS) == []


def test_a_changed_or_missing_released_revision_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "same.sql").write_text("select 1")
    (tmp_path / "changed.sql").write_text("select 1")
    digest = hashlib.sha256(b"select 1").hexdigest()
    listing = f"# released\n{digest}  same.sql\n{'0' * 64}  changed.sql\n{digest}  missing.sql\n"
    assert changed_files(listing, tmp_path) == ["changed.sql", "missing.sql"]


def test_a_revision_reads_nothing_but_its_own_folder() -> None:
    for revision in VERSIONS.glob("*.py"):
        assert "run(__file__)" in revision.read_text()
        assert "\n\\" not in revision.with_suffix(".sql").read_text(), "psql's own commands do not work here"
