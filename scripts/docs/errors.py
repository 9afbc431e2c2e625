"""The reference of errors: what the same mistake is called in Python, SQL, HTTP and the shell."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from esteira import errors
from esteira.cli.exits import MEANINGS, code_of
from esteira.database.sqlstates import OURS
from esteira_service.problems import KINDS, refusal_of
from scripts.docs.markdown import block, code, page, table


def errors_page() -> str:
    """Write the tree of exceptions, each with its other names, then the codes of HTTP and of the command line."""
    tree, _, apart = (inspect.getdoc(errors) or "").partition("\n\n")[2].partition("\n\n")
    return page(
        "# Errors",
        "The same mistake has a name in each interface: an exception in Python, a SQLSTATE in SQL, a `code` over HTTP,"
        " an exit code of `esteira`.",
        "## Exceptions",
        block("text", tree),
        apart,
        table(("exception", "SQLSTATE", "HTTP", "exit code", ""), _exceptions()),
        "## Problems over HTTP",
        "`application/problem+json` (RFC 9457). `code` stays the same between versions; `detail` is for people.",
        table(
            ("code", "status", "for example"),
            ((code(name), str(kind.status), kind.example) for name, kind in KINDS.items()),
        ),
        "## Exit codes",
        table(("code", ""), ((str(number.value), meaning) for number, meaning in MEANINGS.items())),
    )


def exceptions() -> list[type[errors.EsteiraError]]:
    """Give every exception of ours."""
    found = [
        thing for thing in vars(errors).values() if inspect.isclass(thing) and issubclass(thing, errors.EsteiraError)
    ]
    return [kind for kind in found if kind is not errors.EsteiraError]


def _exceptions() -> Iterator[tuple[str, ...]]:
    states = {kind: state for state, kind in OURS.items()}
    for kind in exceptions():
        error = kind.__new__(kind)  # only its kind is asked for
        anchor = f"[{code(kind.__name__)}](python.md#esteira.{kind.__name__})"
        problem = refusal_of(error).code
        known = problem if problem != "INTERNAL_ERROR" else ""
        yield anchor, states.get(kind, ""), known and code(known), str(code_of(error).value), inspect.getdoc(kind) or ""
