from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, computed_field

from esteira.encoding import Encoded, decode, encode
from esteira.errors import InvalidInput

if TYPE_CHECKING:
    from esteira.database import Database

STORABLE = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(STORABLE),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(STORABLE), inner),
    max_leaves=20,
)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@given(JSON)
def test_what_is_encoded_is_decoded_to_the_same(value: Any) -> None:
    assert decode(encode(value)) == value


async def test_integers_stay_exact_through_the_database(database: Database) -> None:
    numbers = [10**1000 + 1, -(10**1000) - 1, 10**4299, 2**63, 2**53 + 1]
    assert decode(await database.fetchval("select $1::jsonb", encode(numbers))) == numbers


@pytest.mark.parametrize("value", [10**4300, nested(255), nested(5000)], ids=["digits", "nested", "very nested"])
def test_what_could_not_be_read_again_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="no JSON form"):
        encode(value)


def test_200_levels_can_be_stored_and_read() -> None:
    assert decode(encode(nested(200))) == nested(200)


@pytest.mark.parametrize("text", ["\0", "a\0b", "\\\0", "\\\\\0"])
def test_nul_is_refused_wherever_it_stands(text: str) -> None:
    for value in (text, [text], {text: 1}):
        with pytest.raises(InvalidInput, match="NUL"):
            encode(value)


async def test_a_backslash_that_u0000_follows_is_no_nul(database: Database) -> None:
    texts = ["\\u0000", "\\\\u0000", "a\\u0000b"]
    assert decode(await database.fetchval("select $1::jsonb", encode(texts))) == texts


@pytest.mark.parametrize("value", ["\ud800", ["a\udfff"], {"\ud800": 1}, b"\xff", object()])
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="no JSON form"):
        encode(value)


async def test_numbers_that_json_lacks_are_refused_by_the_database(database: Database) -> None:
    for value in (float("nan"), float("inf"), [-float("inf")]):
        with pytest.raises(InvalidInput, match="json"):
            await database.fetch("select $1::jsonb", encode(value))


def test_encoded_text_passes_as_it_is() -> None:
    text = Encoded('{"b": 1}')
    assert encode(text) is text
    assert encode(None) == "null"
    assert decode(None) is None


def test_a_round_trip_leaves_out_what_a_model_computes() -> None:
    class Square(BaseModel):
        side: int

        @computed_field  # type: ignore[prop-decorator]
        @property
        def area(self) -> int:
            return self.side**2

    assert decode(encode(Square(side=2))) == {"side": 2, "area": 4}
    assert decode(encode(Square(side=2), round_trip=True)) == {"side": 2}
