"""The last look of a run with a precision."""

from bench.records.stopping_record import Stopping
from bench.spec.pairing import Pair

LOOK = Stopping(
    rule=None,
    further_blocks=2,
    precision=0.02,
    max_blocks=30,
    blocks=6,
    confidence=0.95,
    comparisons=4,
    deviation=0.035,
    df=20,
    half_width=0.0313,
    widest=0.041,
    widest_pair=Pair(axis="norm", variant_id="v1", baseline_id="v0"),
    needed_blocks=12,
)
"""A look after which two blocks were to follow."""
