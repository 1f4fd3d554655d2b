"""Decide where turns end: after equal shares of an epoch.

Usage:
    mode, reason = block_mode("window", pipelines=["device", "tfdata"])       # "epoch", and why
    rounds = rounds_in_epoch("window", windows=[8, 16], epoch_s=[0.8, 1.1], turn_s=0.2)   # 4
    list(turn_ends(rounds))                              # [0.25, 0.5, 0.75, 1.0] of the epoch

All arms have their turns of a round between the same two shares of their epoch, whatever the size
of their batches.
"""

from collections.abc import Iterator, Sequence

from bench.spec.turn_settings import TurnMode

_MIN_WINDOWS = 2
"""Windows of a turn, where an epoch has them: one to leave out, one to compare."""


def block_mode(mode: TurnMode, pipelines: Sequence[str]) -> tuple[TurnMode, str | None]:
    """Return how arms with these pipelines take turns, and why if not by ``mode``.

    A pipeline on the host runs ahead of its training. In turns of windows it would use cores while
    other arms train, and its arm would find batches that were prepared outside its own time. At the
    end of an epoch it has nothing left to do.
    """
    on_host = sorted({pipeline for pipeline in pipelines if pipeline != "device"})
    if mode != "window" or not on_host:
        return mode, None
    return "epoch", f"{' and '.join(on_host)} would prepare batches in the turns of other arms"


def rounds_in_epoch(
    mode: TurnMode, windows: Sequence[int], epoch_s: Sequence[float], turn_s: float
) -> int:
    """Return in how many rounds the arms train an epoch.

    ``windows`` has the number of windows in an epoch of each arm. ``epoch_s`` has the duration of
    the last epoch of each arm, and is empty before the first, which has as many rounds as the
    windows allow. A turn of a later epoch takes ``turn_s`` seconds or more and has two windows or
    more, as far as an epoch has them.
    """
    fewest = min(windows)
    if mode != "window":
        return 1
    if not epoch_s:
        return fewest
    return max(1, min(fewest // _MIN_WINDOWS, int(min(epoch_s) / turn_s)))


def turn_ends(rounds: int) -> Iterator[float]:
    """Yield the share of the epoch that is done at the end of each round."""
    return (number / rounds for number in range(1, rounds + 1))
