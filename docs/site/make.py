"""The docs as one site, in build/docs/site: `make docs`. Pages are those of the repository, as GitHub shows them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("zensical.toml")

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^][]|\[[^][]*\])*)\]\((?P<target>[^)\s]+)\)")

REFERENCE = """# Reference

Everything public is imported from `seqcols`. [The reference](../reference/seqcols.html) has each name with arguments, shapes,
errors and an example, from its docstring.

What columns files say is in [columns](columns.md), with every argument of every column; the command's options are in
[the command line](command-line.md); the files of a data set in [outputs](outputs.md).
"""
"""A page that leads to the one of docstrings, which has a form of its own."""


def pages(nav: Any = None) -> Iterator[str]:
    """Yields the pages of the navigation, by their paths."""
    for entry in tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["nav"] if nav is None else nav:
        for below in entry.values():
            yield from [below] if isinstance(below, str) else pages(below)


def stage(folder: Path) -> None:
    """Copies the pages into a folder, to where they lie in the repository, and the files of docs and deploy that they link to."""
    for name in pages():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        text = REFERENCE if name == "docs/reference.md" else (ROOT / name).read_text(encoding="utf-8")
        page.write_text(staged(text, name, folder), encoding="utf-8")


def staged(text: str, name: str, folder: Path) -> str:
    """Returns a page as the site takes it."""
    parts, at = [], 0
    for fence in FENCE.finditer(text):
        parts.append(LINK.sub(lambda link: _link(link, name, folder), text[at : fence.start()]))
        # What tests read after the language is no language.
        parts.append(re.sub(r"^```(\w+) .*", r"```\1", fence[0], count=1))
        at = fence.end()
    return "".join([*parts, LINK.sub(lambda link: _link(link, name, folder), text[at:])])


def _link(link: re.Match[str], name: str, folder: Path) -> str:
    """Returns a link as it is, or only its text if what it leads to is not on the site."""
    target = link["target"].partition("#")[0]
    if not target or "://" in target or target.startswith("mailto:"):
        return link[0]
    path = Path(os.path.normpath(Path(name).parent / target))
    if path.parts[0] == "reference" or str(path) in set(pages()):
        return link[0]
    if (ROOT / path / "README.md").is_file():
        return link[0].replace(target, f"{target.rstrip('/')}/README.md")
    if path.parts[0] not in ("docs", "deploy") or not (ROOT / path).is_file():
        return link["text"]
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / path, folder / path)
    return link[0]


def build(folder: Path, reference: bool = True) -> Path:
    """Makes the site anew in a folder, and returns its first page.

    Args:
      folder: for the pages, and for the site made of them.
      reference: whether to load all packages and write the page of their docstrings.

    Raises:
      subprocess.CalledProcessError: a link leads nowhere, or the site cannot be made; it has been printed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(CONFIG, folder)
    stage(folder / "pages")
    shutil.copy(CONFIG.with_name("site.css"), folder / "pages")
    if reference:
        from reference import write

        write(folder / "pages" / "reference")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(folder / CONFIG.name)]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "site" / "index.html"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    try:
        print(build(Path(sys.argv[1]).resolve()))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
