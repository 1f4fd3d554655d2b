"""Tests of the sentences about a run's noise and about what used its cores."""

import dataclasses

import pytest

from bench.analysis.comparison.run_noise import RunNoise
from bench.analysis.questions.core_use import CoreUse
from bench.report.text.noise_text import cores_text, noise_text

NOISE = RunNoise(deviation=0.0392, df=12, half_width=0.02, further_blocks=13)
CORES = CoreUse(
    own=1.62, others=0.31, stolen=0.001, throttled=None, largest_taken_share=0.09, trials=12
)


@pytest.mark.parametrize(
    ("further_blocks", "end"),
    [
        (13, "; a half width of 2.0 % takes about 13 more blocks."),
        (1, "; a half width of 2.0 % takes about 1 more block."),
        (0, "; the blocks are enough for a half width of 2.0 %."),
        (None, "; no feasible number of blocks gives a half width of 2.0 %."),
    ],
)
def test_noise_names_the_blocks_to_add(further_blocks: int | None, end: str) -> None:
    start = "A block's ratio varies by 4.0 % (standard deviation, 12 degrees of freedom)"
    noise = dataclasses.replace(NOISE, further_blocks=further_blocks)
    assert noise_text(noise) == start + end


def test_few_degrees_of_freedom_give_no_number_of_blocks() -> None:
    few = RunNoise(deviation=0.04, df=1, half_width=0.02, further_blocks=None)
    assert noise_text(few) == (
        "A block's ratio varies by 4.1 % (standard deviation, 1 degree of freedom), too few to say "
        "how many blocks a half width of 2.0 % takes."
    )


def test_cores_name_their_users() -> None:
    assert cores_text(CORES) == (
        "CPU seconds per second: a trial used 1.6 on average, other processes 0.31, other "
        "machines of the host none; in the worst trial other work took 9.0 % of its cores."
    )


def test_cores_leave_out_what_was_not_measured() -> None:
    unknown = CoreUse(
        own=1.62, others=None, stolen=None, throttled=0.05, largest_taken_share=None, trials=1
    )
    assert cores_text(unknown) == (
        "CPU seconds per second: a trial used 1.6 on average; a quota throttled threads for "
        "5.0 % of the time."
    )
