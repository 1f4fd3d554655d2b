"""The last look of a run that adds blocks until its intervals are narrow enough.

Usage:
    info = folder.info()
    if info.stopping is not None:
        info.stopping.rule, info.stopping.half_width
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.records.field_types import StoredPair
from bench.records.ranges import Count, Number, Positive, Seconds
from bench.spec.fail_fast_types import FailFastTuple

Rule = Literal["precision", "max_blocks", "max_time", "no_comparison"]
_Part = Annotated[float, Field(gt=0, lt=1, strict=True)]


class Stopping(BaseModel):
    """What a run saw when it last looked at its intervals, and which rule ended it.

    A half width is the upper end of an interval over its ratio, minus 1.
    """

    model_config = ConfigDict(frozen=True)

    rule: Rule | None
    """The rule that ended the run; None if further blocks were to follow."""
    further_blocks: Count
    """Blocks that were to follow."""
    precision: _Part
    """The half width that the suite sets."""
    max_blocks: Positive
    max_time_s: Seconds | None = None
    blocks: Count
    """Blocks at the time of the look."""
    confidence: _Part
    """Nominal confidence of each interval; 0.95 in the long run, because the run stops on width."""
    comparisons: Count
    """Comparisons whose intervals were looked at."""
    left_out: FailFastTuple[StoredPair] = ()
    """Comparisons that were not, because fewer than half of their blocks can be used."""
    deviation: Number | None = None
    """Standard deviation of a block's log ratio, pooled over the comparisons."""
    df: Count | None = None
    """Degrees of freedom of ``deviation``."""
    half_width: Number | None = None
    """Half width that ``deviation`` gives the comparison with the fewest blocks."""
    widest: Number | None = None
    """The largest half width of a comparison by its own standard deviation."""
    widest_pair: StoredPair | None = None
    """The comparison that has it."""
    needed_blocks: Positive | None = None
    """Blocks in all that would give the precision with this deviation; None above a million."""
