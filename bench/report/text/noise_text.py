"""Write how noisy a run was, what used its cores, and how many blocks a narrow interval takes.

Usage:
    noise_text(summary.noise), cores_text(summary.cores)
"""

import math

from bench.analysis.comparison.run_noise import RunNoise
from bench.analysis.questions.core_use import CoreUse
from bench.analysis.statistics.intervals import MIN_DF
from bench.report.text.number_text import number, percent

_DIGITS = 2
_MIN_CORES = 0.005
"""A use of cores below this is written as none."""


def noise_text(noise: RunNoise) -> str:
    """Say by how much the ratios of blocks vary, and how many more blocks narrow the intervals."""
    df = f"{noise.df} degree{'' if noise.df == 1 else 's'} of freedom"
    spread = percent(math.expm1(noise.deviation))
    return f"A block's ratio varies by {spread} (standard deviation, {df}){_further(noise)}."


def cores_text(cores: CoreUse) -> str:
    """Say what used the cores while the trials of the run ran."""
    users = {
        "other processes": cores.others,
        "other machines of the host": cores.stolen,
    }
    parts = [f"a trial used {_cores(cores.own)} on average"]
    parts += [f"{name} {_cores(used)}" for name, used in users.items() if used is not None]
    text = f"CPU seconds per second: {', '.join(parts)}"
    if cores.throttled and cores.throttled >= _MIN_CORES:
        text += f"; a quota throttled threads for {percent(cores.throttled)} of the time"
    if cores.largest_taken_share:
        share = percent(cores.largest_taken_share)
        text += f"; in the worst trial other work took {share} of its cores"
    return f"{text}."


def _further(noise: RunNoise) -> str:
    wanted = f"a half width of {percent(noise.half_width)}"
    if noise.df < MIN_DF:
        return f", too few to say how many blocks {wanted} takes"
    if noise.further_blocks is None:
        return f"; no feasible number of blocks gives {wanted}"
    if noise.further_blocks == 0:
        return f"; the blocks are enough for {wanted}"
    further = f"{noise.further_blocks} more block{'' if noise.further_blocks == 1 else 's'}"
    return f"; {wanted} takes about {further}"


def _cores(used: float) -> str:
    return number(used, _DIGITS) if used >= _MIN_CORES else "none"
