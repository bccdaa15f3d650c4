"""The page of everything public, made of docstrings: a part of the site."""

from __future__ import annotations

from pathlib import Path

import pdoc

import pipeline
import pipeline.inspect
import pipeline.loaders
import seqcols
import transforms

NAMES = list(
    dict.fromkeys([*transforms.__all__, *pipeline.__all__, *pipeline.inspect.__all__, *pipeline.loaders.__all__])
)
"""Everything that users import, of `seqcols`, in the order of the page."""


def write(folder: Path) -> None:
    """Writes a page with every public name into a folder."""
    for name in NAMES:  # loaded when they are asked for: pdoc looks at members only
        setattr(seqcols, name, getattr(seqcols, name))
    seqcols.__all__ = NAMES
    templates = Path(__file__).parent
    pdoc.render.configure(docformat="google", show_source=False, search=False, template_directory=templates)
    pdoc.pdoc("seqcols", output_directory=folder)
