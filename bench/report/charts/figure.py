"""A chart with what stands beside it: title, text alternative, and its data as a table.

Usage:
    Figure("epoch-times", "Epoch times", about="...", chart=chart, headers=(...), rows=(...))
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True)
class Figure:
    """One chart of one run."""

    name: str
    """Of its files; letters and dashes."""
    title: str
    about: str
    """What it shows, for those who do not see it, and under it for those who do."""
    chart: "alt.TopLevelMixin"
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The same numbers as text; of many, the first ones."""
    omission_note: str = ""
    """What was too much to show, and where it is; "" where all is shown."""

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The Vega-Lite specification, data included; checking it takes a while."""
        import altair as alt

        with alt.data_transformers.enable(max_rows=None):
            return dict(self.chart.to_dict())


def omission_note(found: int, shown: int, what: str) -> str:
    """What a reader is told where only the first ``shown`` are drawn."""
    if found <= shown:
        return ""
    return f"{shown} of {found} {what} are drawn; the overview and summary.csv have all."
