"""The reference of everything public, made of docstrings: `make reference` writes it into build/reference."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parent.parent))  # a script begins where it lies

import pdoc

import pipeline
import pipeline.inspect
import pipeline.loaders
import transforms

PACKAGES = (transforms, pipeline, pipeline.inspect, pipeline.loaders)


def main(folder: Path) -> None:
    """Writes a page for each package, with every name in its `__all__`."""
    for package in PACKAGES:
        _load_late_names(package)
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(*(package.__name__ for package in PACKAGES), output_directory=folder)


def _load_late_names(package: ModuleType) -> None:
    """Makes names that a package loads when they are asked for members of it: pdoc looks at members only."""
    for name in package.__all__:
        setattr(package, name, getattr(package, name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
