"""The site builds without a broken link and fetches nothing from elsewhere, and its reference is complete."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from esteira.settings import Settings
from esteira_service import create_app
from scripts.docs.__main__ import ZENSICAL
from scripts.docs.cli import commands
from scripts.docs.errors import exceptions
from scripts.docs.http import operations
from scripts.docs.pages import ROOT, public_modules, put_together, sources, with_links
from scripts.docs.python import public
from scripts.docs.settings import settings_table, variables
from scripts.docs.sql import Catalogue, read_catalogue
from tests.postgres import PostgresServer, open_folder


@pytest.fixture(scope="module")
def catalogue(postgres_server: PostgresServer, template_database: str) -> Catalogue:
    return read_catalogue(postgres_server.url(template_database))


@pytest.fixture(scope="module")
def pages(postgres_server: PostgresServer, template_database: str) -> Iterator[Path]:
    """A folder with mkdocs.yml and the pages that it names."""
    with open_folder() as folder:
        shutil.copy(ROOT / "mkdocs.yml", folder)
        put_together(folder / "build" / "docs", postgres_server.url(template_database))
        yield folder


def reference(pages: Path, name: str) -> str:
    return (pages / "build" / "docs" / "reference" / f"{name}.md").read_text()


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [ZENSICAL, "build", "--clean", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def in_nav(entry: object) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    assert isinstance(entry, dict | list)
    return [page for value in values for page in in_nav(value)]


def test_site_builds_with_all_links_and_anchors_and_fetches_nothing_from_elsewhere(pages: Path) -> None:
    done = build(pages)
    assert done.returncode == 0, done.stdout + done.stderr
    written = list((pages / "site").rglob("*.html"))
    assert len(written) > 15
    fetched = r"<(?:script|img|iframe)[^>]*\bsrc=\"?([^\">\s]+)|<link[^>]*\bhref=\"?([^\">\s]+)|@import|url\(([^)]+)\)"
    for page in written:
        for found in re.finditer(fetched, page.read_text()):
            address = found[1] or found[2] or found[3] or ""
            assert not address.startswith(("http:", "https:", "//")), f"{page.name} fetches {address}"


def test_broken_links_and_anchors_are_errors(tmp_path: Path) -> None:
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nsite_dir: site\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[page](nowhere.md) [anchor](index.md#nowhere)\n")
    done = build(tmp_path)
    assert done.returncode != 0
    assert {"page does not exist", "anchor does not exist"} <= set(re.findall(r"\w+ does not exist", done.stderr))


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page(pages: Path) -> None:
    docs = pages / "build" / "docs"
    written = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    named = in_nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert [page for page in named if page not in written] == []
    # Decisions are listed by their own index, translations by what they translate.
    apart = {page for page in written if re.fullmatch(r"adr/\d{4}-.*|.*\.[a-z]{2}\.md", page)}
    assert written - set(named) == apart


def test_links_between_files_become_links_between_pages() -> None:
    text = "[sql](../sql/README.md#verbs) [claim](../sql/verbs/claim.sql) [compose](../docker-compose.yml) [out](https://x.y)"
    assert with_links(text, "docs/http.md") == (
        "[sql](sql.md#verbs) [claim](reference/sql.md#claim) compose [out](https://x.y)"
    )
    assert with_links("[job](tables/job.sql)", "sql/README.md") == "[job](reference/sql.md#job)"
    assert with_links("```\n[a](b.md)\n```", "docs/http.md") == "```\n[a](b.md)\n```"
    with pytest.raises(FileNotFoundError, match=r"nothing\.yml"):
        with_links("[x](../nothing.yml)", "docs/http.md")


def test_every_page_and_picture_is_a_file() -> None:
    assert [source for source in sources() if not (ROOT / source).is_file()] == []


def test_reference_has_every_public_python_name_with_a_docstring(pages: Path) -> None:
    text = reference(pages, "python")
    for module in public_modules():
        for name, thing in public(module).items():
            assert f"### {name} {{ #{module.__name__}.{name} }}" in text
            assert not callable(thing) or inspect.getdoc(thing), f"{name} has no docstring"


def test_reference_has_every_route_and_model(pages: Path) -> None:
    text, document = reference(pages, "http"), create_app(Settings()).openapi()
    assert [path for verb, path, _ in operations(document) if f"### {verb} {path} {{" not in text] == []
    assert [model for model in document["components"]["schemas"] if f"### {model} {{" not in text] == []


def test_reference_has_every_function_and_relation_with_a_comment(pages: Path, catalogue: Catalogue) -> None:
    text = reference(pages, "sql")
    assert len(catalogue.functions) > 30
    assert len(catalogue.views()) > 5
    for thing in [*catalogue.functions, *catalogue.relations]:
        assert f"### {thing.name} {{" in text or f"| `{thing.name}(" in text
        assert thing.comment, f"esteira.{thing.name} has no comment"


def test_reference_has_every_command_setting_and_exception(pages: Path) -> None:
    assert [name for name in commands() if f"## esteira {name} {{" not in reference(pages, "cli")] == []
    assert [name for name in variables(Settings) if f"| `{name}` |" not in reference(pages, "settings")] == []
    assert all(field.description for field in Settings.model_fields.values())
    assert [kind for kind in exceptions() if f"esteira.{kind.__name__})" not in reference(pages, "errors")] == []


def test_the_page_of_deployment_has_every_setting_as_it_is() -> None:
    assert settings_table(Settings).strip() in (ROOT / "docs" / "deployment.md").read_text()


def test_every_page_that_a_page_links_to_is_there() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
    missing = [
        f"{page.relative_to(ROOT)} → {target}"
        for page in [*pages, ROOT / "sql" / "README.md"]
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists() and not target.startswith("reference/")
    ]
    assert missing == []
