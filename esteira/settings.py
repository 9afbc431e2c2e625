"""Settings: `ESTEIRA_*` in the environment, read once in each program's main."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from esteira.errors import ConfigurationError

_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(:\d+)?")


class Settings(BaseSettings):
    """Hold what the environment says; command-line options win over it.

    Times are seconds. `tasks` and `queues` are written with commas: ESTEIRA_TASKS=shop.tasks,shop.reports.
    """

    model_config = SettingsConfigDict(env_prefix="ESTEIRA_", env_ignore_empty=True, frozen=True, extra="ignore")

    database_url: str | None = Field(None, description="postgresql://user:password@host:port/database")
    direct_url: str | None = Field(None, description="PostgreSQL itself, past a pooler: for LISTEN and migrations.")
    host: str = Field("127.0.0.1", description="Where the service listens.")
    port: int = Field(8000, ge=0, le=65535, description="The service's port; 0 takes one that is free.")
    tasks: Annotated[tuple[str, ...], NoDecode] = Field((), description="Modules that declare a worker's tasks.")
    queues: Annotated[tuple[str, ...], NoDecode] = Field((), description="The queues a worker serves; all by default.")
    processes: int = Field(1, ge=1, description="Engine processes of a worker.")
    slots: int = Field(10, ge=1, description="Jobs at once in each engine.")
    drain_seconds: float = Field(30, ge=0, description="How long a stopping worker lets running jobs go on.")
    lease_ticks: int = Field(
        6, ge=2, description="Missed heartbeats, about one a second, after which a worker is lost."
    )
    log_level: str = Field(
        "info",
        pattern="^(?i:debug|info|warning|error|critical)$",
        description="debug, info, warning, error or critical.",
    )
    log_format: str = Field(
        "auto",
        pattern="^(auto|console|json)$",
        description="auto, console or json; auto is console in a terminal, json elsewhere.",
    )

    @field_validator("tasks", "queues", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    def require_database_url(self) -> str:
        """Return the database's URL, or raise ConfigurationError that says how to set it."""
        if not self.database_url:
            raise ConfigurationError(
                "no database: set ESTEIRA_DATABASE_URL=postgresql://user:password@host/database,"
                " or run `esteira dev`, which brings its own"
            )
        _check_url("ESTEIRA_DATABASE_URL", self.database_url)
        return self.database_url

    def require_direct_url(self) -> str:
        """Return the address past the pooler, which is the database's own where no other is set."""
        if not self.direct_url:
            return self.require_database_url()
        _check_url("ESTEIRA_DIRECT_URL", self.direct_url)
        return self.direct_url


def _check_url(name: str, url: str) -> None:
    """Raise ConfigurationError for an address that the drivers would stumble over, saying nothing of what is in it."""
    scheme, _, rest = url.partition("://")
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    hosts = authority.rpartition("@")[2]
    # An "@" behind the hosts is the end of a password that held a "/" or "?".
    usable = scheme in ("postgresql", "postgres") and "#" not in url and "@" not in rest[len(authority) :]
    if not usable or not all(_HOST.fullmatch(host) for host in hosts.split(",")):
        raise ConfigurationError(
            f"{name} is to be of the form postgresql://user:password@host:port/database;"
            " write special characters of the password as percent codes (# is %23, / is %2F, ? is %3F, @ is %40)"
        )


def read_settings(**overrides: object) -> Settings:
    """Read the settings; an override that is None counts as not given.

    Where the database is named, the environment's ESTEIRA_DIRECT_URL is another's and does not count.
    Raises ConfigurationError that names the variable.
    """
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    if "database_url" in given:
        given.setdefault("direct_url", None)
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        # A regular expression is nothing to read: what a field may be stands in its description.
        says = Settings.model_fields[name].description if first["type"] == "string_pattern_mismatch" else first["msg"]
        raise ConfigurationError(f"ESTEIRA_{name.upper()}: {says}") from None
