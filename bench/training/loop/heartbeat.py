"""Count a trial's progress, for a thread that watches it."""

from dataclasses import dataclass


@dataclass
class Heartbeat:
    """Counts the stages that a trial has finished: its data, each window, the start of each epoch.

    Counting costs the trial almost nothing. When workers wait for each other at the start of an
    epoch, the slowest one has the lowest count.
    """

    count: int = 0
