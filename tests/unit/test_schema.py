from __future__ import annotations

import pytest

from esteira.errors import SchemaMismatch
from esteira.schema import SCHEMA_VERSION, check_schema


def test_the_schema_of_this_release_is_accepted() -> None:
    check_schema(SCHEMA_VERSION)


@pytest.mark.parametrize(
    ("found", "advice"),
    [(None, "esteira migrate"), ("0000", "run: esteira migrate"), ("9999", "upgrade Esteira here")],
)
def test_any_other_schema_is_refused_with_what_to_do(found: str | None, advice: str) -> None:
    with pytest.raises(SchemaMismatch, match=advice):
        check_schema(found)
