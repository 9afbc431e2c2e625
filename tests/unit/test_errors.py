from __future__ import annotations

import inspect
import re

import esteira
from esteira import errors


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or ""))
    real = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.EsteiraError)}
    assert drawn == real - {"EsteiraError"}


def test_every_error_can_be_imported_from_the_top() -> None:
    kinds = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__}
    assert kinds <= set(esteira.__all__)


def test_being_interrupted_passes_handlers_that_catch_every_exception() -> None:
    assert not issubclass(errors.Interrupted, Exception)
