"""The reference of the Python interface, from the docstrings of the public names."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from scripts.docs.markdown import block, heading, page


def python_page(*modules: ModuleType) -> str:
    """Write every public name of the modules, each with its signature and docstring."""
    return page(
        "# Python reference",
        "What `import esteira` gives. The [guide](../tasks.md) says how to use it, [Errors](errors.md) what they mean.",
        *(part for module in modules for part in _module(module)),
    )


def public(module: ModuleType) -> dict[str, Any]:
    """Give a module's public names with what they stand for."""
    names = [name for name in module.__all__ if not name.startswith("__")]
    return {name: getattr(module, name) for name in names}


def _module(module: ModuleType) -> Iterator[str]:
    yield heading(2, module.__name__, module.__name__)
    yield inspect.getdoc(module) or ""
    for name, thing in public(module).items():
        yield heading(3, name, f"{module.__name__}.{name}")
        yield from _thing(name, thing)


def _thing(name: str, thing: Any) -> Iterator[str]:
    if not callable(thing):
        yield block("python", f"{name} = {thing!r}")
        return
    yield block("python", _head(name, thing))
    yield _doc(thing)
    if inspect.isclass(thing):
        for member_name, member in _members(thing):
            yield block("python", _head(member_name, member))
            yield _doc(member)


def _head(name: str, thing: Any) -> str:
    if isinstance(thing, property) and thing.fget:
        return f"{name}: {inspect.signature(thing.fget).return_annotation}"
    if inspect.isclass(thing):
        return _class_head(name, thing)
    words = "async def" if inspect.iscoroutinefunction(thing) else "def"
    return f"{words} {name}{_signature(thing)}"


def _class_head(name: str, thing: type[Any]) -> str:
    bases = ", ".join(base.__name__ for base in thing.__bases__ if base not in (object, BaseModel))
    lines = [f"class {name}({bases})" if bases else f"class {name}"]
    if dataclasses.is_dataclass(thing) or issubclass(thing, BaseModel):
        lines += [f"    {field}" for field in _fields(thing)]
    elif "__init__" in vars(thing) and not issubclass(thing, BaseException):
        lines.append(f"    def __init__{_signature(thing.__init__)}")
    return "\n".join(lines)


def _fields(thing: type[Any]) -> Iterator[str]:
    yield from map(_parameter, inspect.signature(thing).parameters.values())


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    parameters = list(_listed([each for each in signature.parameters.values() if each.name != "self"]))
    returns = "" if signature.return_annotation is signature.empty else f" -> {signature.return_annotation}"
    text = f"({', '.join(parameters)}){returns}"
    if len(text) > 90:
        text = "".join(["(\n", *(f"    {parameter},\n" for parameter in parameters), f"){returns}"])
    return text


def _listed(parameters: list[inspect.Parameter]) -> Iterator[str]:
    starred = False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            yield "*"
        starred = parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        yield _parameter(parameter)


def _parameter(parameter: inspect.Parameter) -> str:
    """Write a parameter or field as its source does: an annotation is the text that stands there."""
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
    annotation = inspect.formatannotation(parameter.annotation).strip("'")
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}".replace("<factory>", "…")
    return f"{stars}{parameter.name}: {annotation}{default}"


def _members(thing: type[Any]) -> Iterator[tuple[str, Any]]:
    """Give public methods and properties, those of base classes of ours too, in the order of the source."""
    found: dict[str, Any] = {}
    for owner in reversed(thing.__mro__):
        if owner.__module__.partition(".")[0] == "esteira" and not (
            owner is not thing and issubclass(owner, Exception)
        ):
            for name, member in vars(owner).items():
                if not name.startswith("_") and (
                    isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(member)
                ):
                    found[name] = member.__func__ if isinstance(member, classmethod | staticmethod) else member
    yield from found.items()


def _doc(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")
