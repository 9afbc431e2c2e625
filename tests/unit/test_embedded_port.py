from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from esteira.embedded import EmbeddedPostgres, EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[[], EmbeddedPostgres]


@pytest.fixture
def make(reachable_folder: Path, postgres_bin: Path) -> Make:
    """Make another manager of the same data."""
    settings = {"shared_buffers": "8MB"}
    return lambda: EmbeddedPostgres(reachable_folder / "data", durable=False, settings=settings, bin_dir=postgres_bin)


def test_the_address_is_the_same_after_the_next_start(make: Make) -> None:
    with make() as first:
        url = first.url()
    with make() as second:
        assert second.url() == url


def test_where_the_last_port_is_taken_another_is_used_and_kept(make: Make) -> None:
    with make() as first:
        port = first.port
    with socket.create_server(("127.0.0.1", port)), make() as second:
        assert second.port != port
    with make() as third:
        assert third.port == second.port


def test_a_manager_that_cannot_start_leaves_the_port_of_the_one_that_runs(make: Make) -> None:
    with make() as first:
        with pytest.raises(EmbeddedPostgresError, match="another server"):
            make().start()
        assert first.data_dir.with_name("data.port").read_text() == f"{first.port}\n"


@pytest.mark.parametrize("written", ["", "port", "99999", "-1"])
def test_what_is_no_port_is_not_used(make: Make, reachable_folder: Path, written: str) -> None:
    (reachable_folder / "data.port").write_text(written)
    with make() as server:
        assert (reachable_folder / "data.port").read_text() == f"{server.port}\n"
