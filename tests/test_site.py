"""The site of the docs: every page is on it, no link leads nowhere, and nothing is fetched from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pygments.lexers import get_lexer_by_name

from tests.test_contributing import ROOT
from tests.test_docs import FENCE, NAMES

SITE = ROOT / "docs" / "site"
OWN = "docs/reference.md"
"""A page that is on the site only."""


def script(name: str) -> Any:
    """Returns one of the scripts that make the site, as a module."""
    found = importlib.util.spec_from_file_location(name, SITE / f"{name}.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


make = script("make")


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "pages"
    make.stage(folder)
    return folder


def test_every_page_is_in_the_navigation_once():
    assert sorted(make.pages()) == sorted([*NAMES, OWN])


def test_pages_link_to_what_is_on_the_site(pages):
    count = 0
    for page in pages.rglob("*.md"):
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path = target.partition("#")[0]
            if path and "://" not in path and path != "../reference/seqcols.html":
                assert (page.parent / path).is_file(), (page, target)
                count += 1
    assert count > 200


def test_what_is_not_on_the_site_is_text(pages):
    file = "transforms/columns/hash_bucket.py"
    assert f"[{file}]({file})" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = (pages / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert file in text and f"]({file})" not in text
    assert "](deploy/flink/README.md)" in text  # there it leads to the folder


def test_code_is_of_a_language_that_is_known(pages):
    languages = set()
    for page in pages.rglob("*.md"):
        opening = re.findall(r"^```(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        languages |= set(opening)
    assert {"python", "pycon", "yaml", "sh"} <= languages
    for language in languages - {"mermaid"}:
        get_lexer_by_name(language)


def test_code_and_prose_are_those_of_the_repository(pages):
    """But for what a fence says after the language, and for links."""
    for name in NAMES:
        plain = [
            re.sub(r"(^```\w+) .*|!?\[|\]\([^)\s]*\)|\]", r"\1", text, flags=re.MULTILINE)
            for text in ((ROOT / name).read_text(encoding="utf-8"), (pages / name).read_text(encoding="utf-8"))
        ]
        assert plain[0] == plain[1], name


class Page(HTMLParser):
    """The ids, links and loaded files of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif "src" in given or (tag == "link" and "href" in given):
            self.loaded.append(given.get("src") or given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, str(SITE / "make.py"), str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == str(folder / "site" / "index.html")
    return folder / "site"


@pytest.mark.slow
def test_the_site_is_whole_and_fetches_nothing(site):
    parsed = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(parsed) >= len(NAMES) + 2
    links = 0
    for path, page in parsed.items():
        for link in [*page.links, *page.loaded]:
            if link.startswith(("https://", "http://")):
                assert link in page.links, f"{path} loads {link}"
                continue
            if link.startswith("data:"):
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / unquote(file)).resolve() if file else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path}: {link}"
            # pdoc 16 lists inherited members as links, and leaves out those without a docstring that they lead to.
            if anchor and target in parsed and path.parent.name != "reference":
                assert unquote(anchor) in parsed[target].ids, f"{path}: {link}"
            links += 1
    assert links > 1000
