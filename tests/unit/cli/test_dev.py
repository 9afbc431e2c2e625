from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from esteira.cli.readiness import require_free_port, worker_is_registered
from esteira.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Esteira = Callable[..., Any]


def test_a_port_in_use_stops_dev_before_it_starts_anything(esteira: Esteira, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = esteira("dev", "--port", port, "--data", data, ESTEIRA_DATABASE_URL=None)
    assert (answer.code, answer.out) == (2, "")
    assert f"port {port} on 127.0.0.1 is in use" in answer.err
    assert "--port" in answer.err
    assert not data.exists()


def test_an_address_that_is_not_this_machines_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1, port 8000"):
        require_free_port("192.0.2.1", 8000)


def test_a_port_that_was_used_a_moment_ago_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address):
            server.accept()[0].close()  # who closes first keeps the port for a while
    require_free_port(*address)


def test_a_worker_is_known_by_its_machine_and_process(database_url: str, worker: Any) -> None:
    worker.connection.execute("update esteira.worker set hostname = %s", (socket.gethostname(),))
    assert worker_is_registered(database_url, 42)
    assert not worker_is_registered(database_url, 43)
    worker.connection.execute("update esteira.worker set hostname = 'another'")
    assert not worker_is_registered(database_url, 42)
