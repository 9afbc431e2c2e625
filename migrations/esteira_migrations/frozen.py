"""The SQL frozen beside a revision."""

from __future__ import annotations

from pathlib import Path

from alembic import op


def run(revision_file: str) -> None:
    """Execute the .sql of the same name, as it stands: nothing in it is a parameter, not even % or a colon."""
    script = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(script, execution_options={"no_parameters": True})
