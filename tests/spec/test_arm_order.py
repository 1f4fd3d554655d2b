"""The order of arms is balanced over a full cycle of repeats, and a seed decides it."""

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bench.spec.arm_order import ArmOrders, williams_row, williams_row_count


@given(st.integers(2, 25))
def test_in_a_williams_square_each_arm_takes_each_position_equally_often(arms: int) -> None:
    square = [williams_row(arms, row) for row in range(williams_row_count(arms))]
    positions = Counter((position, arm) for row in square for position, arm in enumerate(row))
    assert len(positions) == arms * arms
    assert set(positions.values()) == {len(square) // arms}


@given(st.integers(2, 25))
def test_in_a_williams_square_each_arm_follows_each_other_equally_often(arms: int) -> None:
    square = [williams_row(arms, row) for row in range(williams_row_count(arms))]
    successions = Counter(pair for row in square for pair in itertools.pairwise(row))
    assert len(successions) == arms * (arms - 1)
    assert set(successions.values()) == {len(square) // arms}


@given(st.integers(1, 12), st.integers(0, 5), st.integers(0, 5))
def test_each_cycle_of_orders_is_a_whole_square(arms: int, seed: int, cycle: int) -> None:
    orders, rows = ArmOrders(arms, f"{seed}"), williams_row_count(arms)
    cycles = [[orders.row(cycle * rows + i) for i in range(rows)] for cycle in (cycle, cycle + 1)]
    for square in cycles:
        positions = Counter((position, arm) for row in square for position, arm in enumerate(row))
        successions = Counter(pair for row in square for pair in itertools.pairwise(row))
        assert len(positions) == arms * arms
        assert set(positions.values()) == {rows // arms}
        assert len(successions) == arms * (arms - 1)
