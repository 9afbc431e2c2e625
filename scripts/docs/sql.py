"""The reference of the SQL interface, from the comments in a database's catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import psycopg

from scripts.docs.markdown import block, code, heading, page, table

FUNCTIONS = """
select proname, pg_get_function_arguments(oid), pg_get_function_result(oid),
       coalesce(obj_description(oid, 'pg_proc'), '')
from pg_proc
where pronamespace = 'esteira'::regnamespace
order by proname, oid
"""
# Partitions are the table's own affair; Alembic's table is Alembic's.
RELATIONS = """
select relname, relkind, coalesce(obj_description(relation.oid, 'pg_class'), ''),
       attname, format_type(atttypid, atttypmod), coalesce(col_description(relation.oid, attnum), '')
from pg_class as relation
join pg_attribute on attrelid = relation.oid and attnum > 0 and not attisdropped
where relnamespace = 'esteira'::regnamespace and relkind in ('v', 'r', 'p') and not relispartition
  and relname <> 'alembic_version'
order by relname, attnum
"""


@dataclass(frozen=True)
class Function:
    """A function of the schema."""

    name: str
    arguments: str
    result: str
    comment: str

    @property
    def internal(self) -> bool:
        """Tell whether it is no part of the interface."""
        return self.comment.startswith("Internal:")


@dataclass(frozen=True)
class Relation:
    """A view or table of the schema, with its columns: name, type, comment."""

    name: str
    kind: str
    comment: str
    columns: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Catalogue:
    """What the schema holds."""

    functions: list[Function]
    relations: list[Relation]

    def views(self) -> list[Relation]:
        """Give the views."""
        return [relation for relation in self.relations if relation.kind == "v"]

    def tables(self) -> list[Relation]:
        """Give the tables."""
        return [relation for relation in self.relations if relation.kind != "v"]


def read_catalogue(url: str) -> Catalogue:
    """Read the schema of a database."""
    with psycopg.connect(url) as db:
        functions = [Function(*row) for row in db.execute(FUNCTIONS)]
        rows = db.execute(RELATIONS).fetchall()
    relations = [
        Relation(name, kind, comment, tuple(row[3:] for row in columns))
        for (name, kind, comment), columns in groupby(rows, key=lambda row: row[:3])
    ]
    return Catalogue(functions, relations)


def sql_page(catalogue: Catalogue) -> str:
    """Write functions, views and tables with their comments."""
    functions = [function for function in catalogue.functions if not function.internal]
    return page(
        "# SQL reference",
        "Everything in the schema `esteira`, with the comments that `\\df+ esteira.*` and `\\d+ esteira.jobs` show too."
        " The [guide](../sql.md) walks through a job's life in psql.",
        "## Functions",
        *_functions(functions),
        "## Views",
        *_relations(catalogue.views()),
        "## Tables",
        "Read them as you like; write through the functions, which keep the rows consistent.",
        *_relations(catalogue.tables()),
        "## Internal functions",
        "They serve the others, and may change without notice.",
        table(("function", ""), _internal(catalogue.functions)),
    )


def _functions(functions: Iterable[Function]) -> Iterator[str]:
    for name, overloads in groupby(functions, key=lambda function: function.name):
        yield heading(3, name, name)
        for function in overloads:
            yield block("sql", _signature(function))
            yield function.comment


def _signature(function: Function) -> str:
    arguments = function.arguments
    if len(arguments) > 80:
        arguments = "\n    " + arguments.replace(", ", ",\n    ") + "\n"
    return f"esteira.{function.name}({arguments}) returns {function.result}"


def _relations(relations: Iterable[Relation]) -> Iterator[str]:
    for relation in relations:
        yield heading(3, relation.name, relation.name)
        yield relation.comment
        yield table(("column", "type", ""), ((code(name), kind, about) for name, kind, about in relation.columns))


def _internal(functions: Iterable[Function]) -> Iterator[tuple[str, str]]:
    for function in functions:
        if function.internal:
            yield code(f"{function.name}({function.arguments})"), function.comment.removeprefix("Internal:")
