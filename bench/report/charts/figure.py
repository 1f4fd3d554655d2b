"""Hold a chart with its title, its text alternative and its data as a table.

Usage:
    Figure("epoch-times", "Epoch times", about="...", chart=chart, headers=(...), rows=(...))
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench.report.text.omission_text import omitted

if TYPE_CHECKING:
    import altair as alt


OVERVIEW = "the overview and summary.csv have all"
"""Where a reader finds the variants that a chart of them omits."""


@dataclass(frozen=True)
class Figure:
    """One chart of one run."""

    name: str
    """The name of its files: letters, digits and dashes."""
    title: str
    about: str
    """What it shows: the caption, and the text for screen readers."""
    chart: "alt.TopLevelMixin"
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The same numbers as text; only the first ones of many."""
    omission_note: str = ""
    """What is left out and where to find it; "" if everything is shown."""

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The Vega-Lite specification with its data; Altair validates it, which takes a while."""
        # Imported here because the rendering process imports this file, but never a specification.
        import altair as alt

        with alt.data_transformers.enable(max_rows=None):
            return dict(self.chart.to_dict())


def drawn_of(count: int, limit: int, noun: str) -> str:
    """Return what a chart omits that draws at most ``limit`` of ``count``; "" if nothing."""
    return omitted(min(count, limit), count, f"{noun} are drawn")
