"""The figure of docs/benchmarks.md: cost of a row and peak memory by contender."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.jobs import COMPILED, LIMIT, MAIN, OURS, POLARS, TFT
from tests.benchmarks.results import Results

BARS: Final = {"J1": [OURS, COMPILED, LIMIT, TFT], "J2": [OURS, POLARS]}
TITLES: Final = {"J1": "TFRecord (J1)", "J2": "Parquet (J2)"}
PANELS: Final = {
    "cpu": "CPU time of a row, µs",
    "wall": "wall time of a row, µs",
    "peak": f"peak memory at {MAIN[1]:,} rows, MB",
}


def points(results: Mapping[str, Results]) -> list[dict[str, Any]]:
    """Returns a point for each bar, of the jobs that were measured."""
    made = []
    for job, names in BARS.items():
        for name in names:
            one = results.get(job)
            if one is None or any((name, rows) not in one.runs for rows in MAIN):
                continue
            figures = {what: one.slope(name, MAIN, what) * 1e6 for what in ("cpu", "wall")}
            figures["peak"] = one.median(name, MAIN[1], "peak") / 1e6
            made += [{"job": job, "contender": name, "panel": what, "value": value} for what, value in figures.items()]
    return made


def draw(results: Mapping[str, Results], path: Path) -> None:
    """Writes the figure, SVG or PNG by the path's name; nothing where there is nothing to draw."""
    import altair as alt  # beside TensorFlow it would slow the start of every test

    made = points(results)
    jobs = [job for job in BARS if any(point["job"] == job for point in made)]
    if jobs:
        rows = [alt.hconcat(*(_panel(made, job, panel) for panel in PANELS), spacing=24) for job in jobs]
        chart = alt.vconcat(*rows, spacing=20).configure(background="white", padding=12, font="sans-serif")
        chart.configure_view(stroke=None).save(str(path), **({"scale_factor": 2} if path.suffix == ".png" else {}))


def _panel(made: list[dict[str, Any]], job: str, panel: str) -> Any:
    import altair as alt

    shown = [point for point in made if (point["job"], point["panel"]) == (job, panel)]
    first = panel == next(iter(PANELS))
    most = max(point["value"] for point in shown)
    names = alt.Axis(title=TITLES[job], ticks=False, domain=False, labelFontSize=12, minExtent=85)
    names = names if first else alt.Axis(title=None, labels=False, ticks=False, domain=False)
    values = alt.Axis(title=PANELS[panel], grid=False, tickCount=4, titleFontSize=12, format=",.0f")
    bars = alt.Chart(alt.Data(values=shown)).encode(
        y=alt.Y("contender:N", sort=BARS[job], axis=names),
        x=alt.X("value:Q", axis=values, scale=alt.Scale(domain=[0, most * 1.25], nice=False)),
    )
    colour = alt.condition(alt.datum.contender == OURS, alt.value("#1f6feb"), alt.value("#a8b3c2"))
    text = bars.mark_text(align="left", dx=4, fontSize=12).encode(text=alt.Text("value:Q", format=",.0f"))
    return (bars.mark_bar(height=16).encode(color=colour) + text).properties(width=200, height=26 * len(BARS[job]))
