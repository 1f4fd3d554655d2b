"""A large group is split into parts that fit at once, with both arms of each comparison in one."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bench.spec.group_parts import group_parts
from bench.spec.pairing import Pair


def pair(variant: int, baseline: int) -> Pair:
    return Pair(axis="norm", variant_id=str(variant), baseline_id=str(baseline))


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


@st.composite
def groups(draw: st.DrawFn) -> tuple[list[str], list[Pair]]:
    """Connected groups: each arm but the first is compared with an earlier one, and some twice."""
    count = draw(st.integers(1, 20))
    arm = st.integers(0, count - 1)
    ends = [(i, draw(st.integers(0, i - 1))) for i in range(1, count)]
    ends += draw(st.lists(st.tuples(arm, arm), max_size=10))
    return names(count), [pair(a, b) for a, b in ends if a != b]


@given(groups(), st.integers(1, 8))
def test_each_comparison_is_within_a_part_and_each_part_fits(
    group: tuple[list[str], list[Pair]], arms_at_once: int
) -> None:
    arms, pairs = group
    parts = group_parts(arms, pairs, arms_at_once)
    assert all(len(part) <= arms_at_once + 1 for part in parts)
    assert set().union(*parts) == set(arms)
    for p in pairs:
        assert any({p.variant_id, p.baseline_id} <= set(part) for part in parts)
    for part in parts:
        assert list(part) == [arm for arm in arms if arm in part]


@given(st.integers(1, 60), st.integers(1, 8))
def test_arms_of_one_baseline_are_spread_evenly_and_train_once(
    others: int, arms_at_once: int
) -> None:
    pairs = [pair(arm, 0) for arm in range(1, others + 1)]
    parts = group_parts(names(others + 1), pairs, arms_at_once)
    assert len(parts) == -(-others // arms_at_once)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    counts = Counter(arm for part in parts for arm in part)
    assert counts.pop("0") == len(parts)
    assert set(counts.values()) == {1}


def test_a_group_that_fits_is_one_part() -> None:
    assert group_parts(names(7), [pair(arm, 0) for arm in range(1, 7)], 6) == [tuple(names(7))]


def test_comparisons_in_two_axes_share_parts_where_they_fit() -> None:
    # Three by three arms: each is compared with the first of its row and of its column.
    pairs = [pair(arm, arm % 3) for arm in range(3, 9)]
    pairs += [pair(arm, arm // 3 * 3) for arm in (1, 2, 4, 5, 7, 8)]
    assert group_parts(names(9), pairs, 6) == [tuple("0123467"), tuple("2345678")]
