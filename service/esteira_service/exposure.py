"""Whether others than this machine can reach the service, and what to tell people as long as it has no keys."""

from __future__ import annotations

import ipaddress

NO_AUTHENTICATION = (
    "There is no authentication yet: whoever reaches this service can run tasks and read their results."
    " Publish it on a loopback address only."
)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens on this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
