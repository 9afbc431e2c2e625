from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import BaseModel, Field, Json, ValidationError, computed_field

from esteira.context import Context
from esteira.errors import ConfigurationError, InvalidInput
from esteira.signature import Signature, return_adapter
from esteira.sync_context import SyncContext

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal


class Order(BaseModel):
    id: int
    customer: str = "nobody"


def of(function: Callable[..., Any]) -> Signature:
    return Signature(function, Context, SyncContext)


async def fulfil(order: Order, ctx: Context) -> Order:
    return order


async def resize(path: str, *, width: int = 100, at: datetime | None = None) -> int:
    return width


def test_a_single_model_is_the_payload() -> None:
    signature = of(fulfil)
    assert signature.decode('{"id": 1}') == {"order": Order(id=1)}
    assert signature.encode(Order(id=1)) == signature.encode({"id": 1}) == '{"id":1,"customer":"nobody"}'
    assert signature.payload_schema["required"] == ["id"]


def test_otherwise_the_payload_is_an_object_of_the_parameters() -> None:
    signature = of(resize)
    assert signature.decode('{"path": "a"}') == {"path": "a", "width": 100, "at": None}
    assert signature.decode('{"path": "a", "at": "2030-01-01T00:00:00Z"}')["at"].year == 2030
    assert signature.encode({"path": "a", "width": "7"}) == '{"path":"a","width":7,"at":null}'
    assert set(signature.payload_schema["properties"]) == {"path", "width", "at"}


def test_a_function_without_parameters_takes_an_empty_payload() -> None:
    async def tick() -> None: ...

    assert of(tick).decode("{}") == {}
    assert of(tick).encode(None) == "{}"


def test_the_context_is_found_by_its_annotation_and_is_no_part_of_the_payload() -> None:
    signature = of(fulfil)  # its annotations are strings, as all in this module
    assert signature.context_parameter == "ctx"
    assert "ctx" not in str(signature.payload_schema)
    assert of(resize).context_parameter is None


@pytest.mark.parametrize("payload", [{"path": "a", "wide": 1}, {}, {"path": "a", "width": "x"}, Order(id=1)])
def test_a_payload_that_does_not_fit_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidInput, match="the payload does not fit"):
        of(resize).encode(payload)


@pytest.mark.parametrize("payload", ['{"path": "a", "wide": 1}', "{}", "[]", "nonsense"])
def test_a_stored_payload_that_does_not_fit_is_a_validation_error(payload: str) -> None:
    with pytest.raises(ValidationError):
        of(resize).decode(payload)


def test_parameters_may_be_called_as_methods_of_a_model() -> None:
    async def load(json: str, copy: int, model_extra: int, schema: str = "public") -> None: ...

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signature = of(load)
    arguments = {"json": "{}", "copy": 1, "model_extra": 2, "schema": "public"}
    assert signature.decode(signature.encode(arguments)) == arguments


def test_what_is_enqueued_can_be_read_by_the_task() -> None:
    class Shape(BaseModel, extra="forbid"):
        side: int
        numbers: Json[list[int]]

        @computed_field  # type: ignore[prop-decorator]
        @property
        def area(self) -> int:
            return self.side**2

    async def draw(shape: Annotated[Shape, "one"]) -> None: ...

    draw.__annotations__["shape"] = Shape
    shape = Shape.model_validate({"side": 2, "numbers": "[1]"})
    assert of(draw).decode(of(draw).encode(shape)) == {"shape": shape}


def test_a_model_that_cannot_read_what_it_writes_is_refused_at_enqueue() -> None:
    class Lopsided(BaseModel):
        side: int = Field(serialization_alias="length")

    async def draw(shape: Any) -> None: ...

    draw.__annotations__["shape"] = Lopsided
    with pytest.raises(InvalidInput, match="side"):
        of(draw).encode(Lopsided(side=1))


async def takes_args(*paths: str) -> None: ...
async def takes_kwargs(**paths: str) -> None: ...
async def takes_position(path: str, /) -> None: ...
async def takes_other_context(ctx: SyncContext) -> None: ...
async def takes_two_contexts(a: Context, b: Context) -> None: ...
async def takes_function(call: Callable[[], None]) -> None: ...
async def takes_unimported(amount: Decimal) -> None: ...
async def takes_private(_path: str) -> None: ...
async def takes_opaque(thing: Opaque) -> None: ...
async def gives_opaque() -> Opaque: ...  # type: ignore[empty-body]


class Opaque:
    pass


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (takes_args, "paths is variadic positional"),
        (takes_kwargs, "paths is variadic keyword"),
        (takes_position, "path is positional-only"),
        (takes_other_context, "ctx is to be a Context"),
        (takes_two_contexts, "b is a second Context"),
        (takes_function, "takes_function"),
        (takes_unimported, "'Decimal' is not defined; what annotations name must be imported at run time"),
        (takes_private, "_path is private"),
        (takes_opaque, "Opaque"),
        (gives_opaque, "Opaque"),
    ],
)
def test_a_function_that_no_json_can_call_is_refused_with_its_reason(function: Any, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint) as refused:
        of(function)
    assert function.__name__ in str(refused.value)


def test_the_result_has_the_declared_type() -> None:
    assert of(fulfil).returns.validate_json('{"id": 1}') == Order(id=1)


@dataclass
class Point:
    x: int


def point() -> Point:
    return Point(1)


def untyped(x):  # type: ignore[no-untyped-def]
    return x


def odd() -> Opaque:
    return Opaque()


def test_a_steps_type_is_seen_through_a_partial() -> None:
    assert return_adapter(partial(partial(point))).validate_json('{"x": 1}') == Point(1)


@pytest.mark.parametrize("function", [untyped, odd, lambda: 1, max, partial(max, 1)])
def test_a_step_without_a_usable_type_gives_plain_json(function: Any) -> None:
    assert return_adapter(function).validate_json('{"x": [1]}') == {"x": [1]}


def reserve(amount: Decimal) -> Point:
    return Point(int(amount))


def price() -> Decimal:
    raise NotImplementedError


def test_of_a_step_only_the_return_annotation_matters() -> None:
    assert return_adapter(reserve).validate_json('{"x": 1}') == Point(1)
    with pytest.raises(ConfigurationError, match=r"price: name 'Decimal' is not defined"):
        return_adapter(price)


class Till:
    def count(self) -> list[Point]:
        return [Point(1)]


def test_a_steps_function_may_be_a_method() -> None:
    assert return_adapter(Till().count).validate_json('[{"x": 1}]') == [Point(1)]


def test_the_declared_type_is_found_under_decorators_of_another_module() -> None:
    def decorated(order: Order) -> Order:
        return order

    # As if written by a module that knows no Order, and so cannot read the annotation that it took over.
    elsewhere: dict[str, Any] = {}
    exec(
        "import functools\ndef decorate(f):\n    @functools.wraps(f)\n    def g(*a): return f(*a)\n    return g",
        elsewhere,
    )
    adapter = return_adapter(partial(elsewhere["decorate"](decorated), Order(id=1)))
    assert adapter.validate_json('{"id": 7}') == Order(id=7)
