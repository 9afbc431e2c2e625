"""What a task's function takes and gives, read from its annotations: the payload's schema, its decoding, the result's type."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError, create_model

from esteira.encoding import Encoded, encode
from esteira.errors import ConfigurationError, InvalidInput


class Signature:
    """Translate between a job's payload and a function's arguments.

    One parameter that is a pydantic model: the payload is that model. Otherwise it is an object of the parameters. A parameter
    annotated with one of `context_types` receives the context and is no part of the payload.
    Raises ConfigurationError for a parameter that no JSON can fill.
    """

    def __init__(self, function: Callable[..., Any], context_types: tuple[type, ...]) -> None:
        parameters, returns = _annotations(function)
        contexts = [name for name, parameter in parameters.items() if parameter.annotation in context_types]
        self.context_parameter = contexts[0] if contexts else None
        fields = {name: parameter for name, parameter in parameters.items() if name not in contexts}
        for name, parameter in fields.items():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ConfigurationError(f"{function.__qualname__}: the parameter {name} is {parameter.kind.description}; give it a name")
        only = next(iter(fields.values())) if len(fields) == 1 else None
        self._whole = only.name if only and _is_model(only.annotation) else None
        try:
            self._model: type[BaseModel] = only.annotation if only and self._whole else _model_of(function, fields)
            self.returns: TypeAdapter[Any] = TypeAdapter(returns)
            self.payload_schema: dict[str, Any] = self._model.model_json_schema()
        except PydanticSchemaGenerationError as error:
            raise ConfigurationError(f"{function.__qualname__}: {error}") from None
        self._names = tuple(fields)

    def decode(self, payload: str) -> dict[str, Any]:
        """Return the arguments in a payload of JSON text. Raises pydantic.ValidationError."""
        model = self._model.model_validate_json(payload)
        if self._whole:
            return {self._whole: model}
        return {name: getattr(model, name) for name in self._names}

    def encode(self, payload: BaseModel | Mapping[str, Any] | None) -> Encoded:
        """Validate what somebody wants to enqueue and return its JSON text. Raises InvalidInput."""
        try:
            model = payload if isinstance(payload, self._model) else self._model.model_validate({} if payload is None else payload)
        except ValidationError as error:
            raise InvalidInput(f"the payload does not fit: {error}") from None
        return encode(model)


def return_adapter(function: Callable[..., Any]) -> TypeAdapter[Any]:
    """Return the adapter of a function's return annotation; without one, of Any."""
    while isinstance(function, partial):
        function = function.func
    try:
        return TypeAdapter(_annotations(function)[1])
    except (ConfigurationError, PydanticSchemaGenerationError, ValueError, TypeError):
        return TypeAdapter(Any)


def _annotations(function: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], Any]:
    try:
        signature = inspect.signature(function, eval_str=True)
    except NameError as error:
        raise ConfigurationError(
            f"{function.__qualname__}: {error}; annotations must be importable where the function is defined"
        ) from None
    returns = signature.return_annotation
    return dict(signature.parameters), Any if returns is inspect.Signature.empty else returns


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
    return create_model(function.__qualname__, __config__=ConfigDict(extra="forbid", protected_namespaces=()), **definitions)
