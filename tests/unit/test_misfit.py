from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from esteira.misfit import misfit


class Item(BaseModel):
    price: int


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (int, "v", "Input should be a valid integer, unable to parse string as an integer"),
        (Item, {}, "price: Field required"),
        (
            list[Item],
            [{"price": 1}, {"price": None}, {}],
            "1.price: Input should be a valid integer; 2.price: Field required",
        ),
        (list[int], ["v"] * 22, "and 2 more"),
    ],
)
def test_each_fault_is_told_with_its_place_in_one_line(kind: Any, value: Any, told: str) -> None:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(kind).validate_python(value)
    shown = misfit(raised.value)
    assert shown.endswith(told)
    assert "\n" not in shown
    assert "pydantic" not in shown
