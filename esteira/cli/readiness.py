"""What `esteira dev` makes sure of: the port is free before anything starts, and all is up before it says so."""

from __future__ import annotations

import asyncio
import errno
import socket
import urllib.request

from esteira.errors import ConfigurationError


def require_free_port(host: str, port: int) -> None:
    """Raise ConfigurationError where the service could not listen: another program would answer in its place."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:
                # As the service does: connections that were closed a moment ago do not count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} on {host} is in use by another program, perhaps another Esteira:"
                " stop that, or choose another port: esteira dev --port PORT"
            ) from None
        raise ConfigurationError(
            f"the service cannot listen on {host}, port {port} ({error.strerror}):"
            " choose another with --port, or set ESTEIRA_HOST"
        ) from None


def service_is_ready(address: str) -> bool:
    """Tell whether the service at this address answers that it is ready."""
    # No proxy: the address is this machine's.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{address}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def worker_is_registered(database_url: str, pid: int) -> bool:
    """Tell whether this process of this machine is a living worker. Raises DatabaseUnavailable."""
    return asyncio.run(_is_registered(database_url, pid))


async def _is_registered(database_url: str, pid: int) -> bool:
    from esteira.client import Client

    ours = (socket.gethostname(), pid)
    async with Client(database_url) as client:
        workers = await client.workers()
    return any(worker.state == "alive" and (worker.hostname, worker.pid) == ours for worker in workers)
