"""What the generated pages are written with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; nothing for one without rows."""
    lines = [_row(row) for row in rows]
    return "\n".join([_row(head), "|---" * len(head) + "|", *lines]) + "\n" if lines else ""


def heading(level: int, text: str, anchor: str) -> str:
    """Write a heading that links can name, whatever its text."""
    return f"{'#' * level} {text} {{ #{anchor} }}\n"


def code(text: str) -> str:
    """Write code inside of a line."""
    return f"`{text}`"


def block(language: str, text: str) -> str:
    """Write code as lines of its own."""
    return f"```{language}\n{text}\n```\n"


def page(*parts: str) -> str:
    """Put a page together of the parts that are not empty."""
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
