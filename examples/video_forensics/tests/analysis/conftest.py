from __future__ import annotations

import pytest

from .clips import Picture, pictures


@pytest.fixture(scope="session")
def bunny() -> list[Picture]:
    """132 frames, animation, scaled down so that the shipped file's own coding traces are gone."""
    return pictures("bigbuckbunny.mp4", size=(480, 272))


@pytest.fixture(scope="session")
def bikes() -> list[Picture]:
    """150 frames with cuts, scaled down likewise."""
    return pictures("bikes.mp4", size=(480, 208))[:150]


@pytest.fixture(scope="session")
def carphone() -> list[Picture]:
    """120 frames, a camera's recording compressed very little."""
    return pictures("carphone_pristine.mp4")


@pytest.fixture(scope="session")
def sources(bunny: list[Picture], bikes: list[Picture], carphone: list[Picture]) -> dict[str, list[Picture]]:
    return {"bunny": bunny, "bikes": bikes, "carphone": carphone}
