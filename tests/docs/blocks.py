"""The fenced blocks of a page: what they are, and what is to be done with them.

python  a piece of the file that its first line names (# shop.py); a worker imports it, or a command of the page runs it
sh      typed into one shell, block by block; sql into one psql. Both must end well
text, json, directly under one of these: its answer. "…" stands for anything; ids and times are anyone's

A comment in the line above says what cannot be read off a block:

<!-- until stopped -->    a command that runs until the end of the page
<!-- fails -->            a command that is meant to end with an error
<!-- may fail: reason --> a command whose end depends on the machine
<!-- not run: reason -->  shown only; not_run.txt beside this file lists all of them
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"(?:^<!-- (?P<marker>[^\n]*?) -->\n)?^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
ANSWERED = ("sh", "sql")
ANSWERS = ("text", "json")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str
    marker: str
    answer: Block | None = None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def not_run(self) -> str:
        """The reason why it is not run, or nothing."""
        return self.marker.removeprefix("not run: ") if self.marker.startswith("not run: ") else ""

    @property
    def may_fail(self) -> bool:
        return self.marker.startswith("may fail: ")

    @property
    def file(self) -> str:
        """The file that a piece of Python belongs to."""
        name = re.match(r"# (\S+\.py)\n", self.text)
        assert name, f"{self.place}: say in the first line which file this belongs to: # name.py"
        return name[1]


def page_names() -> list[str]:
    """Every page that people write, but the decisions, which quote what was measured then."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "sql" / "README.md"]
    found += [*(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/README*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def blocks(page: str, text: str | None = None) -> list[Block]:
    """The page's blocks in their order, answers put to what they answer."""
    text = (ROOT / page).read_text(encoding="utf-8") if text is None else text
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(text):
        between, line = text[end : match.start()], text[: match.start("indent")].count("\n") + 1
        end = match.end()
        block = Block(page, line, match["language"], match["text"], match["marker"] or "")
        last = found[-1] if found else None
        follows = last is not None and last.language in ANSWERED and not last.answer and not last.not_run
        if last and follows and block.language in ANSWERS and not block.marker and not between.strip():
            found[-1] = replace(last, answer=block)
        else:
            found.append(block)
    return found


def files(page: str) -> dict[str, str]:
    """The Python files of a page by their names, each put together of its pieces."""
    put: dict[str, list[str]] = {}
    for block in blocks(page):
        if block.language == "python" and not block.not_run:
            put.setdefault(block.file, []).append(block.text.partition("\n")[2])
    return {name: "\n\n".join(pieces) for name, pieces in put.items()}
