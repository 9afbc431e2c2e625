"""Freeze sql/ into the unreleased revision, and the roles beside it: python scripts/freeze_migration.py.

A revision never reads sql/, which goes on changing. Until 0.1.0 is released the first one may be frozen again.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INSTALL = ROOT / "sql" / "install.sql"
FROZEN = ROOT / "migrations" / "esteira_migrations" / "versions" / "0001_initial.sql"
ROLES = INSTALL.with_name("roles.sql")
PACKAGED_ROLES = FROZEN.parent.with_name("roles.sql")
STAMP = "insert into esteira.alembic_version"


def frozen() -> str:
    """Return what install.sql runs, without psql's own commands and without the stamp, which is Alembic's."""
    parts = ["-- Frozen from sql/ by scripts/freeze_migration.py. Do not edit.\n"]
    for line in INSTALL.read_text(encoding="utf-8").splitlines():
        if line.startswith("\\ir "):
            parts.append((INSTALL.parent / line.removeprefix("\\ir ")).read_text(encoding="utf-8"))
        elif line and not line.startswith(("\\", "--", STAMP)):
            parts.append(line + "\n")
    return "\n".join(parts)


def packaged_roles() -> str:
    """Return what `esteira roles` prints."""
    return f"-- From sql/roles.sql by scripts/freeze_migration.py. Do not edit.\n{ROLES.read_text(encoding='utf-8')}"


if __name__ == "__main__":
    FROZEN.write_text(frozen(), encoding="utf-8")
    PACKAGED_ROLES.write_text(packaged_roles(), encoding="utf-8")
    print(f"wrote {FROZEN.relative_to(ROOT)}, {PACKAGED_ROLES.relative_to(ROOT)}")
