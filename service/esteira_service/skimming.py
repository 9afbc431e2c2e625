"""Find where the jobs of a batch stand in its text, without building them: they are read one by one afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from esteira_service.problems import InputError, Refusal, invalid, json_pointer
from esteira_service.unknown import unknown

MAX_ITEMS = 10_000
_SPACE = re.compile(r"[ \t\n\r]*")
# The scanner of the standard library, in C; how long a number is does not matter here.
_DECODER = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=len)


class Batch:
    """Where the jobs stand, in bytes, and whether all of them are wanted or none.

    Raises Refusal: MALFORMED_JSON, or INVALID_INPUT for what is no batch.
    """

    def __init__(self, body: bytes) -> None:
        # A character for each byte: what does not need to be understood here stays as long as it is.
        text = _Text(body.decode("latin-1"))
        self.jobs: list[slice] | None = None
        self.atomic = False
        if text.peek() != "{":
            text.value()
            raise _wrong("", 'send an object: {"jobs": […]}')
        for _ in text.members("{", "}"):
            name = text.value()
            text.take(":")
            self._read(name, text)
        if text.peek():
            raise text.malformed("the end")
        if self.jobs is None:
            raise _wrong("/jobs", "Field required")

    def _read(self, name: object, text: _Text) -> None:
        if name == "jobs":
            if text.peek() != "[":
                raise _wrong("/jobs", "Input should be a valid list")
            self.jobs = _items(text)
        elif name == "atomic":
            atomic = text.value()
            if not isinstance(atomic, bool):
                raise _wrong("/atomic", "Input should be a valid boolean")
            self.atomic = atomic
        elif isinstance(name, str):
            raise _wrong(json_pointer([name]), unknown("field", name, ("jobs", "atomic")))
        else:
            raise text.malformed("a name")


class _Text:
    """JSON text and a place in it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def peek(self) -> str:
        """Go to the next token and return its first character; nothing at the end."""
        space = _SPACE.match(self._text, self.at)
        assert space is not None
        self.at = space.end()
        return self._text[self.at : self.at + 1]

    def take(self, mark: str) -> None:
        """Go past this mark."""
        if self.peek() != mark:
            raise self.malformed(mark)
        self.at += 1

    def value(self) -> Any:
        """Go past a value; numbers in it are not what they are."""
        self.peek()
        try:
            value, self.at = _DECODER.raw_decode(self._text, self.at)
        except json.JSONDecodeError as error:
            self.at = error.pos
            raise self.malformed("a value") from None
        return value

    def members(self, begin: str, end: str) -> Iterator[None]:
        """Stop at each member of an object or array, for the caller to go past it, and go past the end."""
        self.take(begin)
        if self.peek() != end:
            yield
            while self.peek() == ",":
                self.take(",")
                yield
        self.take(end)

    def malformed(self, wanted: str) -> Refusal:
        """Say what should stand here."""
        return Refusal("MALFORMED_JSON", f"The body is no JSON: expected {wanted} at byte {self.at}.")


def _items(text: _Text) -> list[slice]:
    items: list[slice] = []
    for _ in text.members("[", "]"):
        if len(items) == MAX_ITEMS:
            raise _wrong("/jobs", f"a batch has at most {MAX_ITEMS} jobs")
        text.peek()
        begin = text.at
        try:
            text.value()
        except RecursionError:
            raise _wrong(f"/jobs/{len(items)}", "this is nested too deep") from None
        items.append(slice(begin, text.at))
    return items


def _wrong(pointer: str, detail: str) -> Refusal:
    return invalid([InputError(pointer=pointer, detail=detail)])
