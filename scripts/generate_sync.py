"""Write the synchronous client from the asynchronous one: python scripts/generate_sync.py.

Words are replaced token by token, so comments and layout stay; ruff then puts imports and lines in order. A word of
asyncio that has no counterpart here is an error, which names the line.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {f"esteira/{noun}.py": f"esteira/sync_{noun}.py" for noun in ("client", "handle", "operations")}
HEADER = "# Written by scripts/generate_sync.py from {}. Do not edit: change that and run `make generate`.\n"
RUFF = [sys.executable, "-m", "ruff"]
TIDY = [*RUFF, "check", "--quiet", "--fix-only", "--select=F401,F811,I,RUF100,UP034"]

WORDS = {
    "AsyncExitStack": "ExitStack",
    "AsyncIterator": "Iterator",
    "CallersConnection": "SyncCallersConnection",
    "Client": "SyncClient",
    "Connection": "SyncConnection",
    "Database": "SyncDatabase",
    "Handle": "SyncHandle",
    "Notifier": "SyncNotifier",
    "Operations": "SyncOperations",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "StopAsyncIteration": "StopIteration",
    "aclosing": "closing",
    "anext": "next",
    "asynccontextmanager": "contextmanager",
    "fetch_with": "sync_fetch_with",
}
# asyncio's own words: the only ones that plain code has, too.
MODULES = {"asyncio.sleep": "time.sleep"}
PHRASES = {"an asynchronous context manager": "a context manager", "asynchronous": "synchronous"}
WITHOUT_COUNTERPART = {"Awaitable", "Coroutine", "AsyncGenerator", "AsyncIterable", "AsyncRetrying"}


class NoCounterpartError(Exception):
    """Say which word cannot be translated, and where it stands."""


def synchronous(source: str, origin: str) -> str:
    """Return the synchronous counterpart of a module's text. Raises NoCounterpartError."""
    translated = "".join(_translated(_prepared(source), origin))
    text = HEADER.format(origin) + translated
    tidied = _run([*TIDY, f"--stdin-filename={ROOT / origin}", "-"], text)
    return _run([*RUFF, "format", "--quiet", f"--stdin-filename={ROOT / origin}", "-"], tidied)


def _prepared(source: str) -> str:
    """Replace what is more than one token."""
    for ours, theirs in MODULES.items():
        source = source.replace(ours, theirs)
    if strangers := set(re.findall(r"^class (\w+)", source, re.MULTILINE)) - WORDS.keys():
        raise NoCounterpartError(
            f"{', '.join(strangers)}: there would be two; put it into a file that is not generated from"
        )
    source = re.sub(r"^import asyncio$", "import time", source, flags=re.MULTILINE)
    source = re.sub(r"\besteira\.(client|handle|operations)\b", r"esteira.sync_\1", source)
    return re.sub(r"  # noqa: ASYNC\d+.*$", "", source, flags=re.MULTILINE)


def _translated(source: str, origin: str) -> list[str]:
    lines = source.splitlines(keepends=True)
    pieces, row, column = [], 1, 0
    starts_statement = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        pieces.append(_between(lines, (row, column), token.start))
        row, column = token.end
        if token.type == tokenize.NAME and token.string in {"async", "await"}:
            column += len(lines[row - 1][column:]) - len(lines[row - 1][column:].lstrip(" "))
        elif token.type == tokenize.NAME:
            pieces.append(_word(token, origin))
        elif (token.type == tokenize.STRING and starts_statement) or token.type == tokenize.COMMENT:
            pieces.append(_prose(token.string))
        else:
            pieces.append(_between(lines, token.start, token.end))
        if token.type not in {tokenize.COMMENT, tokenize.NL}:
            starts_statement = token.type in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    return pieces


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]] if start[0] <= len(lines) else ""
    parts = [lines[start[0] - 1][start[1] :], *lines[start[0] : end[0] - 1]]
    return "".join(parts) + (lines[end[0] - 1][: end[1]] if end[0] <= len(lines) else "")


def _word(token: tokenize.TokenInfo, origin: str) -> str:
    if token.string in WITHOUT_COUNTERPART or token.string == "asyncio":
        raise NoCounterpartError(
            f"{origin}:{token.start[0]}: {token.line.strip()!r}: {token.string} has no counterpart in plain code;"
            " write it in another way, or add what it becomes to scripts/generate_sync.py"
        )
    return WORDS.get(token.string, token.string)


def _prose(text: str) -> str:
    for ours, theirs in PHRASES.items():
        text = re.sub(rf"\b{ours}\b", theirs, text)
    text = re.sub(r"\bawait ", "", text)
    return re.sub(r"\w+", lambda word: WORDS.get(word[0], word[0]), text)


def _run(command: list[str], text: str) -> str:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def main() -> int:
    """Write all of them."""
    for origin, target in SOURCES.items():
        try:
            text = synchronous((ROOT / origin).read_text(encoding="utf-8"), origin)
        except NoCounterpartError as error:
            print(error, file=sys.stderr)
            return 1
        (ROOT / target).write_text(text, encoding="utf-8")
        print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
