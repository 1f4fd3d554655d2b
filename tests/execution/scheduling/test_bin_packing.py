"""Where bundles go: whole, on as few nodes as hold them, where least is left over."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bench.execution.scheduling.bin_packing import ResourceShape, allocate, pack, release

SHAPES = st.builds(ResourceShape, st.integers(1, 5), st.integers(1, 8), st.booleans())
FREE = st.lists(st.integers(0, 8), min_size=1, max_size=5).map(
    lambda sizes: {f"n{number}": size for number, size in enumerate(sizes)}
)


def holds(shape: ResourceShape, sizes: tuple[int, ...]) -> bool:
    """Whether nodes with so many free devices hold the shape."""
    return sum(map(shape.bundles_on, sizes)) >= shape.bundles


@given(SHAPES, FREE)
def test_packing_succeeds_if_possible_and_uses_only_free_devices(
    shape: ResourceShape, free: dict[str, int]
) -> None:
    nodes = pack(shape, free)
    assert (nodes is not None) == holds(shape, tuple(free.values()))
    if nodes is not None:
        assert len(nodes) == shape.bundles
        left = allocate(dict(free), shape, nodes)
        assert min(left.values()) >= 0
        release(left, shape, nodes)
        assert left == free


@given(SHAPES, FREE)
def test_packed_bundles_go_to_as_few_nodes_as_hold_them_and_spread_ones_apart(
    shape: ResourceShape, free: dict[str, int]
) -> None:
    nodes = pack(shape, free)
    if nodes is None:
        return
    if shape.spread:
        assert len(set(nodes)) == shape.bundles
    else:
        fewest = next(
            count
            for count in range(1, len(free) + 1)
            if any(holds(shape, some) for some in itertools.combinations(free.values(), count))
        )
        assert len(set(nodes)) == fewest


@given(st.integers(1, 8), FREE)
def test_one_bundle_goes_to_the_fullest_node_with_room(devices: int, free: dict[str, int]) -> None:
    nodes = pack(ResourceShape(1, devices), free)
    if nodes is not None:
        assert free[nodes[0]] == min(n for n in free.values() if n >= devices)


def test_devices_of_a_lost_node_are_not_given_back() -> None:
    free = {"a": 1}
    release(free, ResourceShape(2, 3), ("a", "gone"))
    assert free == {"a": 4}
