"""The reference of the settings, from the class that reads them."""

from __future__ import annotations

from pydantic_settings import BaseSettings

from scripts.docs.markdown import code, page, table


def settings_page(settings: type[BaseSettings]) -> str:
    """Write every variable with its default and what it is for."""
    return page(
        "# Settings",
        "Environment variables, read once when a program starts. Options of the command line win over them;"
        " an empty one counts as not set.",
        settings_table(settings),
    )


def settings_table(settings: type[BaseSettings]) -> str:
    """Write the table alone, which docs/deployment.md has too."""
    return table(("variable", "default", ""), _rows(settings))


def variables(settings: type[BaseSettings]) -> list[str]:
    """Name every variable."""
    prefix = settings.model_config["env_prefix"]
    return [f"{prefix}{name}".upper() for name in settings.model_fields]


def _rows(settings: type[BaseSettings]) -> list[tuple[str, str, str]]:
    fields = settings.model_fields.values()
    return [
        (code(name), "" if field.default in (None, ()) else code(str(field.default)), field.description or "")
        for name, field in zip(variables(settings), fields, strict=True)
    ]
