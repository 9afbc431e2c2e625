"""Plots of a run, as SVG beside docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
# The same figures make the same file: nothing of the time or of chance is in it.
mpl.rcParams.update({"svg.hashsalt": "esteira", "svg.fonttype": "none", "font.family": "sans-serif"})

from matplotlib import pyplot as plt  # noqa: E402

OURS_COLOUR, THEIRS_COLOUR = "#c2410c", "#94a3b8"
_BARS = (
    ("drain", "one process", "Drain of no-op jobs with one process, jobs/s"),
    ("enqueue", "1,000 a call", "Enqueue, 1,000 a call, jobs/s"),
    ("pickup", "p50", "Pickup by an idle worker, p50, ms"),
    ("pickup", "p99", "Pickup by an idle worker, p99, ms"),
)


def draw(found: Mapping[str, Any], folder: Path) -> Iterator[tuple[Path, str]]:
    """Write the plots that the figures suffice for; yield each file and its title."""
    prefix = f"performance-{found['scale']}"
    for scenario, figure, title in _BARS:
        values = {
            one["system"]: one["median"]
            for one in found["figures"]
            if (one["scenario"], one["figure"]) == (scenario, figure)
        }
        if values:
            yield _bars(values, title, folder / f"{prefix}-{_slug(f'{scenario} {figure}')}.svg"), title
    if held := _held(found):
        title = "Rounds under a held snapshot, as a share of the free rate"
        yield _lines(held, title, folder / f"{prefix}-snapshot.svg"), title


def _held(found: Mapping[str, Any]) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {}
    for one in found["figures"]:
        if one["scenario"] == "snapshot" and (one["figure"] == "free" or one["figure"].startswith("held, round")):
            rates.setdefault(one["system"], []).append(one["median"])
    return {system: [rate / free for rate in (free, *held)] for system, (free, *held) in rates.items()}


def _bars(values: Mapping[str, float], title: str, file: Path) -> Path:
    figure, axes = plt.subplots(figsize=(7, 0.45 * len(values) + 1))
    names = list(values)[::-1]
    colours = [OURS_COLOUR if name == "esteira" else THEIRS_COLOUR for name in names]
    bars = axes.barh(names, [values[name] for name in names], color=colours)
    axes.bar_label(bars, fmt="{:,.4g}", padding=4)
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.xaxis.set_visible(False)
    axes.margins(x=0.15)
    return _saved(figure, file)


def _lines(values: Mapping[str, list[float]], title: str, file: Path) -> Path:
    figure, axes = plt.subplots(figsize=(7, 3.5))
    for name, shares in values.items():
        axes.plot(range(len(shares)), shares, marker="o", label=name, linewidth=3 if name == "esteira" else 1.5)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(max(len(shares) for shares in values.values())))
    axes.set_xlabel("round; before the first nobody holds a snapshot")
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return _saved(figure, file)


def _saved(figure: Any, file: Path) -> Path:
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return file


def _slug(text: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())
