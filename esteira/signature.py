"""What a task's function takes and gives, read from its annotations: payload and result, their types and schema."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from types import NoneType, SimpleNamespace
from typing import Any, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    create_model,
)

from esteira.encoding import Encoded, encode
from esteira.errors import ConfigurationError, InvalidInput
from esteira.misfit import misfit

# What pydantic raises for an annotation that it can make nothing of.
_UNUSABLE = (PydanticUserError, PydanticUndefinedAnnotation)

_ANYTHING = (Any, object)
_NOTHING = (None, NoneType)
# Names that mean something else than a field of the payload where nothing stands behind them.
_METHOD = "is of a method, and there is no object when a job runs: declare a function, and have it call the method"
_OURS = {
    "ctx": "has no type: write `ctx: {context}` for the running attempt, or a type for a field of the payload",
    "self": _METHOD,
    "cls": _METHOD,
}


class Signature:
    """Translate between a job's payload and a function's arguments.

    One parameter that is a pydantic model: the payload is that model. Otherwise it is an object of the parameters. A
    parameter annotated with `context_type` receives the context and is no part of the payload; `other_context_type` is
    that of functions of the other kind.
    Raises ConfigurationError for a parameter that no JSON can fill.
    """

    def __init__(self, function: Callable[..., Any], context_type: type, other_context_type: type) -> None:
        parameters, returns = _annotations(function)
        fields = {}
        self.context_parameter: str | None = None
        for name, parameter in parameters.items():
            subject = f"{function.__qualname__}: the parameter {name}"
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ConfigurationError(f"{subject} is {parameter.kind.description}; a payload's fields need names")
            if parameter.annotation is parameter.empty and name in _OURS:
                raise ConfigurationError(f"{subject} {_OURS[name].format(context=context_type.__name__)}")
            if name.startswith("_"):
                raise ConfigurationError(f"{subject} is private by its name; fields cannot begin with an underscore")
            if parameter.annotation is other_context_type:
                raise ConfigurationError(f"{subject} is to be a {context_type.__name__} in this kind of function")
            if parameter.annotation is not context_type:
                fields[name] = parameter
            elif self.context_parameter is None:
                self.context_parameter = name
            else:
                raise ConfigurationError(f"{subject} is a second {context_type.__name__}; one is enough")
        only = next(iter(fields.values())) if len(fields) == 1 else None
        self._whole = only.name if only and _is_model(only.annotation) else None
        try:
            self._model: type[BaseModel] = only.annotation if only and self._whole else _model_of(function, fields)
            self.returns: TypeAdapter[Any] = TypeAdapter(returns)
            self._returns = returns
            self.payload_schema: dict[str, Any] = self._model.model_json_schema()
        except _UNUSABLE as error:
            raise ConfigurationError(f"{function.__qualname__}: {error}") from None
        self.may_return_none = self._misfit("null") is None

    @property
    def payload_fields(self) -> set[str]:
        """The names of the payload's fields, as they are in JSON."""
        return {field.serialization_alias or name for name, field in self._model.model_fields.items()}

    def check_result(self, text: str) -> None:
        """Raise InvalidInput where a result, JSON text, is not of the type that the function declares to return."""
        if self._returns not in _ANYTHING and (why := self._misfit(text)) is not None:
            raise InvalidInput(f"it is not what the task declares to return: {why}")

    def check_completion(self, text: str) -> None:
        """Check the result of a completing transaction: a function that returns None says nothing of it."""
        if self._returns not in _NOTHING:
            self.check_result(text)

    def _misfit(self, text: str) -> str | None:
        try:
            self.returns.validate_json(text)
        except ValidationError as error:
            return misfit(error)
        except Exception as error:  # noqa: BLE001 - a validator of somebody's: the work is done, whatever it raises
            return f"{type(error).__name__}: {error}"
        return None

    def decode(self, payload: str) -> dict[str, Any]:
        """Return the arguments in a payload of JSON text. Raises pydantic.ValidationError."""
        model = self._model.__pydantic_validator__.validate_json(payload)
        # The model of plain parameters lives for this moment only, and what it holds are they.
        return {self._whole: model} if self._whole else vars(model)

    def encode(self, payload: BaseModel | Mapping[str, Any] | None) -> Encoded:
        """Return the JSON text of what somebody wants to enqueue, if the task can read it. Raises InvalidInput."""
        try:
            fits = isinstance(payload, self._model)
            model = payload if fits else self._model.model_validate({} if payload is None else payload)
            text = encode(model, round_trip=True)
            self._model.model_validate_json(text)
        except ValidationError as error:
            raise InvalidInput(f"the payload does not fit: {misfit(error)}") from None
        return text


def return_adapter(function: Callable[..., Any]) -> TypeAdapter[Any]:
    """Return the adapter of a function's return annotation; of Any without one, or where pydantic cannot use it.

    Raises ConfigurationError for an annotation that names something unknown.
    """
    while isinstance(function, partial) or hasattr(function, "__wrapped__"):
        function = function.func if isinstance(function, partial) else function.__wrapped__
    # The other annotations are not our business: `db: Connection` may well be imported for type checkers only.
    own = {name: kind for name, kind in getattr(function, "__annotations__", {}).items() if name == "return"}
    try:
        hints = get_type_hints(SimpleNamespace(__annotations__=own), getattr(function, "__globals__", {}))
        return TypeAdapter(hints.get("return", Any))
    except NameError as error:
        raise _unknown(function, error) from None
    except PydanticUserError:
        return TypeAdapter(Any)


def _annotations(function: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], Any]:
    try:
        signature = inspect.signature(function, eval_str=True)
    except NameError as error:
        raise _unknown(function, error) from None
    returns = signature.return_annotation
    return dict(signature.parameters), Any if returns is inspect.Signature.empty else returns


def _unknown(function: Callable[..., Any], error: NameError) -> ConfigurationError:
    name = getattr(function, "__qualname__", repr(function))
    return ConfigurationError(
        f"{name}: {error}; what annotations name must be imported at run time, and at the top of its module"
    )


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _model_of(function: Callable[..., Any], fields: Mapping[str, inspect.Parameter]) -> type[BaseModel]:
    definitions: dict[str, Any] = {
        name: (
            Any if parameter.annotation is parameter.empty else parameter.annotation,
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for name, parameter in fields.items()
    }
    config = ConfigDict(extra="forbid", protected_namespaces=())
    with warnings.catch_warnings():
        # A parameter may well be called json, copy or schema, as methods of a model are.
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        return create_model(function.__qualname__, __config__=config, **definitions)
