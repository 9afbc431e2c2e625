"""The site's pages: those that people write, from where they stand, and the generated reference."""

from __future__ import annotations

import re
import shutil
from os.path import relpath
from pathlib import Path
from types import ModuleType

import esteira
import esteira.history
import esteira.settings
import esteira.testing
from esteira_service import create_app
from scripts.docs.cli import cli_page
from scripts.docs.errors import errors_page
from scripts.docs.http import http_page
from scripts.docs.python import python_page
from scripts.docs.settings import settings_page
from scripts.docs.sql import read_catalogue, sql_page

ROOT = Path(__file__).resolve().parents[2]
# Where pages stand that are not in docs/, and what they are called in the site.
ELSEWHERE = {
    "sql/README.md": "sql.md",
    "examples/video_forensics/README.md": "examples/video_forensics.md",
    "examples/video_forensics/README.pt.md": "examples/video_forensics.pt.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(!?)\[((?:[^\]\[]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def put_together(folder: Path, database_url: str) -> None:
    """Fill a folder, emptied before, with all pages; the database holds the schema that is described."""
    shutil.rmtree(folder, ignore_errors=True)
    write_pages(folder)
    write_reference(folder, database_url)


def write_pages(folder: Path) -> None:
    """Write the pages that people write, and the pictures beside them."""
    for source, target in sources().items():
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            text = (ROOT / source).read_text(encoding="utf-8")
            (folder / target).write_text(with_links(text, source), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / source, folder / target)


def write_reference(folder: Path, database_url: str) -> None:
    """Write the pages that are generated."""
    reference = {
        "http": http_page(create_app(esteira.settings.Settings()).openapi()),
        "python": python_page(*public_modules()),
        "sql": sql_page(read_catalogue(database_url)),
        "cli": cli_page(),
        "settings": settings_page(esteira.settings.Settings),
        "errors": errors_page(),
    }
    (folder / "reference").mkdir(parents=True, exist_ok=True)
    for name, text in reference.items():
        (folder / "reference" / f"{name}.md").write_text(text, encoding="utf-8")


def public_modules() -> list[ModuleType]:
    """Give the modules whose `__all__` is the interface."""
    return [esteira, esteira.testing, esteira.history]


def sources() -> dict[str, str]:
    """Give every source of a page or picture, relative to the root, with its place in the site."""
    docs = ROOT / "docs"
    own = {
        str(path.relative_to(ROOT)): str(path.relative_to(docs)) for path in sorted(docs.rglob("*")) if path.is_file()
    }
    return {**own, **ELSEWHERE}


def with_links(text: str, source: str) -> str:
    """Turn links between files of the repository into links between pages; what is no page keeps its text only."""
    parts = FENCED.split(text)
    return "".join(
        part if FENCED.fullmatch(part) else LINK.sub(lambda link: _link(link, source), part) for part in parts
    )


def _link(link: re.Match[str], source: str) -> str:
    mark, text, address = link.groups()
    path, hash_sign, anchor = address.partition("#")
    if "://" in address or address.startswith("mailto:") or not path:
        return link[0]
    here = sources()[source]
    there = _place(source, path)
    if there is None:
        return text
    if "#" in there:
        there, hash_sign, anchor = there.partition("#")
    return f"{mark}[{text}]({relpath(there, Path(here).parent)}{hash_sign}{anchor})"


def _place(source: str, path: str) -> str | None:
    """Return where in the site a file of the repository is, or None where it is not."""
    target = relpath((ROOT / source).parent / path, ROOT)
    if target in sources():
        return sources()[target]
    if target.startswith("docs/reference/"):
        return target.removeprefix("docs/")
    if Path(target).parent.name in ("verbs", "functions", "views", "tables") and target.startswith("sql/"):
        return f"reference/sql.md#{Path(target).stem}"
    if target == "README.md":
        return "index.md"
    if not (ROOT / target).exists():
        raise FileNotFoundError(f"{source} links to {path}, which is not there")
    return None
