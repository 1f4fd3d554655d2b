"""A sign of life: how far a trial has come, for whoever watches from another thread."""

from dataclasses import dataclass


@dataclass
class Pulse:
    """Counts the windows of steps that are done. Counting costs the trainer nothing to speak of."""

    beats: int = 0
