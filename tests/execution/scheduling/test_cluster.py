"""What a block asks of a cluster, on nodes that are made up."""

from typing import Any, Literal

import pytest

from bench.errors import ResourceError
from bench.execution.scheduling.bin_packing import pack
from bench.execution.scheduling.cluster import Cluster
from bench.execution.scheduling.resources import ResourceRequest
from bench.spec.defaults import fill_defaults
from bench.spec.plan import Block, Trial
from bench.spec.variant import Variant


def node(name: str, cpus: float = 8, gpus: float = 0, *, alive: bool = True) -> dict[str, Any]:
    """A node as Ray describes it."""
    resources = {"CPU": cpus, "memory": 1e10, **({"GPU": gpus} if gpus else {})}
    return {"NodeID": name, "Alive": alive, "Resources": resources}


def variant_of(**asked: Any) -> Variant:
    """The notebook's variant, with what is ``asked`` for."""
    return Variant.model_validate(fill_defaults(asked))


def block(*asked: dict[str, Any]) -> Block:
    """Trials that are compared with each other."""
    trials = [
        Trial(
            trial_id=f"b000-{order}",
            variant_id=str(order),
            label="made",
            block=0,
            order=order,
            seed=1,
            variant=variant_of(**settings),
        )
        for order, settings in enumerate(asked)
    ]
    return Block(repeat=0, trials=tuple(trials))


def workers_of(workers: int, replicas: int = 1, placement: str = "pack") -> dict[str, Any]:
    """A multi-worker variant's settings."""
    return {
        "strategy": "multi_worker",
        "workers": workers,
        "replicas": replicas,
        "placement": placement,
    }


TWO_NODES = (node("a"), node("b"))
GPU_NODES = (node("head", cpus=4), node("a", cpus=16, gpus=4), node("b", cpus=16, gpus=4))


def test_unfit_gpus_do_not_count_and_do_not_change_the_cores_of_trials() -> None:
    whole, less = Cluster(GPU_NODES, "auto"), Cluster(GPU_NODES, "auto", {"a": 1, "elsewhere": 2})
    assert less.sizes == {"a": 3, "b": 4}
    assert less.capacity == 7
    assert less.cores_of("a") == whole.cores_of("a") == 4
    four, five = ({"strategy": "mirrored", "replicas": n} for n in (4, 5))
    assert reserved(less, block(four)).nodes == ("b",)
    with pytest.raises(ResourceError):
        less.shape_of(block(five))


def test_nodes_with_only_unfit_gpus_are_not_nodes_without_gpus() -> None:
    none = Cluster(GPU_NODES, "auto", {"a": 4, "b": 4})
    assert (none.has_gpus, none.capacity) == (True, 0)
    with pytest.raises(ResourceError):
        none.shape_of(block({}))


def reserved(cluster: Cluster, asked: Block) -> ResourceRequest:
    """On the nodes of an idle cluster."""
    nodes = pack(cluster.shape_of(asked), cluster.sizes)
    assert nodes is not None
    return cluster.request_for(asked, nodes)


def bundles(request: ResourceRequest, asked: dict[str, Any]) -> list[int]:
    """The bundle of each worker."""
    variant = variant_of(**asked)
    return [request.bundle_of(variant, worker) for worker in range(variant.workers)]


def test_without_gpus_a_trial_has_all_cores_of_a_node() -> None:
    cluster = Cluster(TWO_NODES, "auto")
    assert cluster.capacity == 2
    assert cluster.shape_of(block({})).devices == 1
    request = reserved(cluster, block({}))
    assert request.bundles == ({"CPU": 8.0},)
    assert request.selectors == [{"ray.io/node-id": "a"}]
    assert request.cores_of(variant_of()) == 8.0


def test_bundles_are_pinned_to_the_nodes_that_were_chosen() -> None:
    assert Cluster(TWO_NODES, "auto").request_for(block({}), ["b"]).nodes == ("b",)
    request = Cluster(GPU_NODES, "auto").request_for(block(workers_of(4, 2)), ["b", "b", "a", "a"])
    labels = [selector["ray.io/node-id"] for selector in request.selectors]
    assert labels == ["b", "b", "a", "a"]


@pytest.mark.parametrize(("cpus", "gpus"), [(2, 4), (2, 3), (1, 7), (3, 2), (16, 4), (7, 4)])
@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_bundles_always_fit_their_node_however_few_its_cores(
    cpus: float, gpus: float, replicas: int
) -> None:
    if replicas > gpus:
        return
    cluster = Cluster([node("a", cpus, gpus)], "auto")
    asked = {"strategy": "mirrored", "replicas": replicas}
    request = reserved(cluster, block(asked))
    # As Ray counts, in ten thousandths, rounded.
    together = int(gpus) // replicas * round(request.bundles[0]["CPU"] * 10_000)
    assert 0 < together <= cpus * 10_000
    assert request.cores_of(variant_of(**asked)) <= request.bundles[0]["CPU"]


def test_a_node_with_gpus_and_no_core_runs_nothing() -> None:
    cluster = Cluster([node("a", 4, 2), node("b", 0, 8)], "auto")
    assert cluster.sizes == {"a": 2}
    with pytest.raises(ResourceError, match=r"have 1 x 2: .*--num-cpus on the GPU nodes that"):
        cluster.shape_of(block({"strategy": "mirrored", "replicas": 8}))


@pytest.mark.parametrize("device", ["auto", "gpu"])
def test_gpus_without_cores_are_refused(device: Literal["auto", "gpu"]) -> None:
    with pytest.raises(ResourceError, match=r"no CPU core.*start Ray there with --num-cpus"):
        Cluster([node("a", 4), node("b", 0, 8)], device)


def test_a_node_has_room_for_as_many_gpus_as_others_leave_with_their_cores() -> None:
    cluster = Cluster([node("a", 8, 4), node("b", 8, 4), node("c", 8, 4)], "auto")
    free = {"a": {"GPU": 3.0, "CPU": 8.0}, "b": {"GPU": 4.0, "CPU": 3.0}}
    assert cluster.free_devices(free) == {"a": 3, "b": 1, "c": 0}
    assert cluster.free_text(free) == "1 x (3 GPU, 8 CPU), 1 x (4 GPU, 3 CPU), 1 x (0 GPU, 0 CPU)"


def test_without_gpus_a_node_has_room_where_all_its_cores_are_free() -> None:
    cluster = Cluster(TWO_NODES, "auto")
    free = {"a": {"CPU": 8.0}, "b": {"CPU": 7.0}}
    assert cluster.free_devices(free) == {"a": 1, "b": 0}
    assert cluster.free_text(free) == "1 x (8 CPU), 1 x (7 CPU)"


def test_workers_packed_on_one_node_share_its_cores() -> None:
    cluster = Cluster(TWO_NODES, "auto")
    request = reserved(cluster, block(workers_of(4)))
    assert cluster.shape_of(block(workers_of(4))).devices == 1
    assert bundles(request, workers_of(4)) == [0, 0, 0, 0]
    assert request.cores_of(variant_of(**workers_of(4))) == 2.0
    assert request.cores_of(variant_of(**workers_of(16))) == 0.5


def test_workers_that_are_spread_have_a_node_each_and_all_of_its_cores() -> None:
    asked = workers_of(2, placement="spread")
    cluster = Cluster(TWO_NODES, "auto")
    request = reserved(cluster, block(asked))
    assert cluster.shape_of(block(asked)).devices == 2
    assert request.nodes == ("a", "b")
    assert bundles(request, asked) == [0, 1]
    assert request.cores_of(variant_of(**asked)) == 8.0


def test_spread_and_packed_trials_of_one_block_are_spread_and_packed() -> None:
    asked: list[dict[str, Any]] = [workers_of(2), workers_of(2, placement="spread"), {}]
    for cluster in (Cluster(TWO_NODES, "auto"), Cluster(GPU_NODES, "auto")):
        request = reserved(cluster, block(*asked))
        assert [bundles(request, settings) for settings in asked] == [[0, 0], [0, 1], [0]]


def test_more_spread_workers_than_nodes_are_refused() -> None:
    with pytest.raises(ResourceError, match=r"3 workers .* the cluster has only 2: lower workers"):
        Cluster(TWO_NODES, "auto").shape_of(block(workers_of(3, placement="spread")))


def test_with_gpus_a_block_takes_as_many_as_its_largest_trial_has_replicas() -> None:
    cluster = Cluster(GPU_NODES, "auto")
    assert cluster.capacity == 8
    assert cluster.nodes == ("a", "b")
    pair = block({}, {"strategy": "mirrored", "replicas": 4})
    assert cluster.shape_of(pair).devices == 4
    request = reserved(cluster, pair)
    assert request.bundles == ({"GPU": 4.0, "CPU": 16.0},)
    assert request.cores_of(variant_of()) == 16.0


def test_workers_that_fit_on_one_node_stay_on_one() -> None:
    request = reserved(Cluster(GPU_NODES, "auto"), block(workers_of(2, 2)))
    assert len(request.bundles) == 1
    assert bundles(request, workers_of(2, 2)) == [0, 0]
    assert request.cores_of(variant_of(**workers_of(2, 2))) == 8.0


def test_workers_that_do_not_fit_on_one_node_have_a_bundle_each() -> None:
    cluster = Cluster(GPU_NODES, "auto")
    assert cluster.shape_of(block(workers_of(4, 2))).devices == 8
    request = reserved(cluster, block(workers_of(4, 2)))
    assert request.bundles == ({"GPU": 2.0, "CPU": 8.0},) * 4
    assert request.strategy == "PACK"
    assert bundles(request, workers_of(4, 2)) == [0, 1, 2, 3]


def test_a_block_can_mix_several_workers_and_one_process_that_needs_a_node() -> None:
    asked = workers_of(4, 2), {"strategy": "mirrored", "replicas": 4}
    cluster = Cluster(GPU_NODES, "auto")
    assert cluster.shape_of(block(*asked)).devices == 8
    request = reserved(cluster, block(*asked))
    assert [bundles(request, settings) for settings in asked] == [[0, 0, 1, 1], [0]]


def test_spread_workers_on_gpus_are_on_different_nodes() -> None:
    asked = workers_of(2, 4, "spread")
    request = reserved(Cluster(GPU_NODES, "auto"), block(asked))
    assert (request.strategy, len(request.bundles)) == ("STRICT_SPREAD", 2)


@pytest.mark.parametrize(
    "asked",
    [
        {"strategy": "mirrored", "replicas": 8},
        workers_of(3, 4),
        workers_of(3, placement="spread"),
        workers_of(16),
    ],
)
def test_gpus_that_no_node_has_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ResourceError, match=r"the nodes have 2 x 4: lower replicas or workers"):
        Cluster(GPU_NODES, "auto").shape_of(block(asked))


def test_a_requested_gpu_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ResourceError, match="use --device cpu or auto"):
        Cluster(TWO_NODES, "gpu")


def test_gpus_are_unused_on_request() -> None:
    cluster = Cluster(GPU_NODES, "cpu")
    assert cluster.capacity == 3
    assert "GPU" not in reserved(cluster, block({})).bundles[0]


def test_dead_nodes_and_nodes_without_cores_do_not_count() -> None:
    nodes = (node("a"), node("gone", alive=False), node("empty", cpus=0))
    assert Cluster(nodes, "auto").nodes == ("a",)
    with pytest.raises(ResourceError, match="start Ray with --num-cpus"):
        Cluster(nodes[1:], "auto")


def test_nodes_that_share_an_address_are_distinguished() -> None:
    shared = {"NodeManagerAddress": "127.0.0.1"}
    assert Cluster([{**n, **shared} for n in TWO_NODES], "auto").capacity == 2
