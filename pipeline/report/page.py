"""Pages from templates that escape everything."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

from transforms.escaping import one_line

REPORT: Final = "page.html.j2"
SEQUENCES: Final = "sequences.html.j2"


def page(content: dict[str, Any], template: str = REPORT) -> bytes:
    """Returns a page, the report of a run unless another template is named: self-contained, without scripts; it fetches nothing.

    Args:
      content: the content of the page (see `view`; of the page for `SEQUENCES`, `events.page_view`). All of it is escaped.
      template: its name among the files of this folder.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def safe(value: Any) -> Any:
        # Beside what means something in HTML: control characters, and marks that turn the direction of the text around.
        return one_line(value) if type(value) is str else value

    folder = resources.files("pipeline.report")
    surroundings = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=safe,
    )
    return surroundings.get_template(template).render(**content).encode("utf-8", "backslashreplace")
