"""The page: a template that escapes everything, filled in."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

from pipeline.report.facts import CLOSES, OPENS, Facts, as_json
from transforms.escaping import one_line

TEMPLATE: Final = "page.html.j2"


def page(content: dict[str, Any], facts: Facts) -> bytes:
    """Returns `report.html`: self-contained, without scripts, and without a line of it fetched from anywhere.

    Args:
      content: the content of the page (see `view`). All of it is escaped.
      facts: the figures for programs, and for a repair.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def safe(value: Any) -> Any:
        # Beside what means something in HTML: control characters, and marks that turn the direction of the text around.
        return one_line(value) if type(value) is str else value

    surroundings = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=safe
    )
    text = resources.files("pipeline.report").joinpath(TEMPLATE).read_text("utf-8")
    data = Markup(OPENS) + Markup(as_json(facts)) + Markup(CLOSES)
    return surroundings.from_string(text).render(**content, data=data).encode("utf-8", "backslashreplace")
