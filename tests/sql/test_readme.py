"""sql/README.md names every verb and view. What it shows is checked with the other pages, by tests/docs."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).parents[2] / "sql" / "README.md"


def test_every_verb_and_view_is_in_the_readme(run_psql: object, database_url: str) -> None:
    assert callable(run_psql)
    names = run_psql(
        database_url,
        "-c",
        "select proname from pg_proc where pronamespace = 'esteira'::regnamespace"
        " and obj_description(oid, 'pg_proc') not like 'Internal:%'"
        " union select relname from pg_class where relnamespace = 'esteira'::regnamespace and relkind = 'v'",
    ).split()
    text = README.read_text(encoding="utf-8")
    helpers = {
        "backoff",
        "id_from",
        "id_until",
        "make_day",
        "now",
        "priority_name",
        "priority_number",
        "uuid7",
        "uuid7_at",
        "uuid7_time",
    }
    assert [name for name in names if f"`{name}`" not in text and name not in helpers] == []
