"""How the arms of a block take turns, as a suite sets it.

Usage:
    mode: TurnMode = "window"
"""

from typing import Literal

TurnMode = Literal["window", "epoch", "trial"]
"""What an arm trains in a turn: some windows of steps, one epoch, or its whole trial."""

SequenceReason = Literal["asked", "alone", "memory", "retried"]
"""Why arms trained whole trials one after another: the suite or the executor asked for it, the
block has one arm, memory does not hold all arms at once, or they are part of a block and were tried
again."""

DEFAULT_TURN_S = 0.2
"""The shortest turn to aim for.

Two arms compare well if both met the same state of the machine, and states last seconds. A round of
two arms then takes 0.4 s, one of seven 1.4 s. Shorter turns lose more: the first window after a
change of hands is left out, and the kernel counts CPU time in ticks of 10 ms.
"""

DEFAULT_ARMS_AT_ONCE = 6
"""Arms that take turns with a baseline. More would make rounds longer than the states that their
turns are to share, and all of them hold memory."""

MOST_ARMS_AT_ONCE = 100

BEFORE_TURNS: dict[str, TurnMode | int] = {"turns": "trial", "arms_at_once": MOST_ARMS_AT_ONCE}
"""How runs from before these keys existed ran: one trial after another, and no group in parts."""
