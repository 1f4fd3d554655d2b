"""Tests of the settings that differ between two arms beyond the compared axis."""

from typing import Any

import pytest

from bench.analysis.comparison.confounds import Confound, confounds, declared_differences
from bench.spec.axes import AXES

PLAIN = {"xla": True, "policy": "float32", "window_steps": 100, "node": "a", "devices": ["CPU:0"]}
NORMED = {**PLAIN, "norm_layers": 3, "norm_epsilon": 0.001, "norm_momentum": 0.99}


def test_equal_settings_are_no_confound() -> None:
    assert confounds({"activation"}, PLAIN, dict(PLAIN)) == ()


def test_settings_implied_by_the_axis_are_no_confound() -> None:
    assert confounds({"norm"}, NORMED, PLAIN) == ()
    assert confounds({"norm"}, PLAIN, NORMED) == ()
    assert confounds({"precision"}, {**PLAIN, "policy": "mixed_float16"}, PLAIN) == ()


def test_batch_norm_implementation_follows_from_batch_norm_and_norm() -> None:
    keras, fused = ({**NORMED, "batch_norm": name} for name in ("keras", "fused"))
    assert confounds({"batch_norm"}, fused, keras) == ()
    assert confounds({"norm"}, fused, PLAIN) == ()
    assert confounds({"clip"}, fused, keras) == (Confound("batch_norm", "fused", "keras"),)


def test_synchronized_statistics_confound_the_batch_norm_axis() -> None:
    ours = {**NORMED, "batch_norm": "fused", "norm_synchronized": False}
    theirs = {**NORMED, "batch_norm": "keras", "norm_synchronized": True}
    assert confounds({"batch_norm"}, ours, theirs) == (Confound("norm_synchronized", False, True),)


def test_other_difference_is_reported_with_both_values() -> None:
    result = confounds({"norm"}, {**NORMED, "xla": False}, PLAIN)
    assert result == (Confound("xla", value=False, baseline=True),)


def test_other_gpus_are_no_confound_but_other_cores_are() -> None:
    allotted = {"gpus": ["GPU-1"], "logical_gpus": [], "cores": [0, 1], "numa_node": 0}
    near = {**PLAIN, "allotted": allotted}
    assert confounds({"norm"}, {**PLAIN, "allotted": {**allotted, "gpus": ["GPU-2"]}}, near) == ()
    far = {**PLAIN, "allotted": {**allotted, "cores": [2, 3]}}
    assert confounds({"norm"}, far, near) == (Confound("allotted.cores", [2, 3], [0, 1]),)
    assert confounds({"replicas"}, far, near) == ()


def test_jit_confounds_pipelines_but_not_the_jit_axis() -> None:
    device, tfdata = {**PLAIN, "jit": "epoch"}, {**PLAIN, "jit": "step"}
    assert confounds({"pipeline"}, tfdata, device) == (Confound("jit", "step", "epoch"),)
    assert confounds({"jit"}, tfdata, device) == ()


def test_partial_compilation_on_several_replicas_is_a_confound() -> None:
    alone, several = {**PLAIN, "compiled": "step"}, {**PLAIN, "compiled": "passes"}
    assert confounds({"replicas", "strategy"}, several, alone) == (
        Confound("compiled", "passes", "step"),
    )
    assert confounds({"jit"}, several, alone) == ()


def test_variables_are_a_confound_unless_they_name_devices() -> None:
    def with_variables(**variables: str) -> dict[str, object]:
        return {**PLAIN, "variables": variables}

    cards = with_variables(CUDA_VISIBLE_DEVICES="0"), with_variables(CUDA_VISIBLE_DEVICES="1")
    assert confounds({"norm"}, *cards) == ()
    threads = with_variables(OMP_NUM_THREADS="2"), with_variables(OMP_NUM_THREADS="1")
    assert confounds({"norm"}, *threads) == (Confound("variables.OMP_NUM_THREADS", "2", "1"),)
    assert confounds({"workers"}, *threads) == ()


@pytest.mark.parametrize("axis", AXES)
def test_xla_flags_follow_from_no_axis(axis: str) -> None:
    ours = {"variables": {"XLA_FLAGS": "--xla_gpu_autotune_level=0"}}
    assert [result.key for result in confounds({axis}, ours, {})] == ["variables.XLA_FLAGS"]


def test_settings_implied_by_threads_are_no_confound() -> None:
    def with_threads(count: int, **more: object) -> dict[str, object]:
        with_variables = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), str(count))
        bound = {"allotted": {"cores": list(range(count))}, "variables": with_variables}
        return {**PLAIN, **bound, "intra_op_threads": count, **more}

    assert confounds({"threads"}, with_threads(2), with_threads(1)) == ()
    assert confounds({"norm"}, with_threads(2), with_threads(1)) != ()
    result = confounds({"threads"}, with_threads(2, xla=False), with_threads(1))
    assert result == (Confound("xla", value=False, baseline=True),)


def test_nested_setting_is_named_by_its_path() -> None:
    ours = {**PLAIN, "optimizer_config": {"name": "SGD", "learning_rate": 0.1}}
    theirs = {**PLAIN, "optimizer_config": {"name": "SGD", "learning_rate": 0.01}}
    result = (Confound("optimizer_config.learning_rate", 0.1, 0.01),)
    assert confounds({"norm"}, ours, theirs) == result
    assert confounds({"learning_rate"}, ours, theirs) == ()


def test_setting_that_one_arm_lacks_is_a_confound_unless_null() -> None:
    assert confounds({"activation"}, {**PLAIN, "cuda": "12.5"}, PLAIN) == (
        Confound("cuda", "12.5", None),
    )
    assert confounds({"activation"}, {**PLAIN, "cuda": None}, PLAIN) == ()


def test_different_windows_and_nodes_are_confounds() -> None:
    other = {**PLAIN, "window_steps": 50, "node": "b"}
    assert {c.key for c in confounds({"norm"}, other, PLAIN)} == {"window_steps", "node"}


def test_per_process_keys_are_not_settings() -> None:
    ours = {**PLAIN, "pid": 12, "optimizer_config": {"name": "sgd_1"}}
    theirs = {**PLAIN, "pid": 34, "optimizer_config": {"name": "sgd"}}
    assert confounds({"norm"}, ours, theirs) == ()


def test_unloaded_library_is_no_confound_but_another_version_is() -> None:
    def loaded(nccl: str | None) -> dict[str, object]:
        return {**PLAIN, "cuda_libraries": {"cudart": "12.9", "nccl": nccl}}

    assert confounds({"norm"}, loaded("2.32.3"), loaded(None)) == ()
    result = confounds({"norm"}, loaded("2.32.3"), loaded("2.30.1"))
    assert result == (Confound("cuda_libraries.nccl", "2.32.3", "2.30.1"),)


def test_nccl_transport_follows_only_from_devices() -> None:
    near, far = ({**PLAIN, "nccl_transport": ways} for ways in (["P2P/NVL"], ["NET/Socket"]))
    assert confounds({"placement"}, near, far) == ()
    assert confounds({"norm"}, near, far) != ()


def test_norm_values_follow_only_from_sizes() -> None:
    ours, theirs = ({**NORMED, "norm_values": [n, 8], "norm_groups": [1, 1]} for n in (784, 16))
    for axis in ("norm", "hidden", "filters", "depth", "shape", "dataset", "workload"):
        assert confounds({axis}, ours, theirs) == ()
    values = (Confound("norm_values", [784, 8], [16, 8]),)
    assert confounds({"activation"}, ours, theirs) == values
    for axis in ("global_batch_size", "synchronized", "replicas"):
        assert confounds({axis}, ours, theirs) == ()
    older = {key: ours[key] for key in NORMED}
    assert len(confounds({"activation"}, ours, older)) == 2


def under(name: str, *sets: str, names: tuple[str, ...] = (), **resolved: Any) -> dict[str, Any]:
    """Return the settings of an arm in an environment that sets ``sets``."""
    environment = {"name": name, "sets": list(sets), "variables": list(names), "revision": None}
    return {**PLAIN, "tensorflow": "2.21.0", "onednn": True, **resolved, "environment": environment}


@pytest.mark.parametrize(
    ("sets", "resolved"),
    [
        ("python", {"tensorflow": "2.20.0", "build": {"is_cuda_build": False}}),
        ("revision", {"workload_source": "a", "norm_layers": 2}),
        ("threads", {"intra_op_threads": 1, "variables": {"OMP_NUM_THREADS": "1"}}),
        ("variables", {"onednn": False, "variables": {"TF_ENABLE_ONEDNN_OPTS": "0"}}),
    ],
)
def test_what_an_environment_declares_is_told_and_not_flagged(
    sets: str, resolved: dict[str, Any]
) -> None:
    names = ("TF_ENABLE_ONEDNN_OPTS",) if sets == "variables" else ()
    ours, theirs = under("a", sets, names=names, **resolved), under("default")
    assert confounds({"environment"}, ours, theirs) == ()
    assert confounds({"environment"}, theirs, ours) == ()
    told = {c.key for c in declared_differences({"environment"}, ours, theirs)}
    assert told & {"tensorflow", "workload_source", "intra_op_threads", "onednn"}
    assert "environment.name" not in told
    # The same differences confound a comparison of anything else.
    assert {c.key for c in confounds({"norm"}, ours, theirs)} > told - {"norm_layers"}
    assert declared_differences({"norm"}, ours, theirs) == ()


def test_what_no_compared_environment_declares_is_flagged() -> None:
    ours = under("a", "variables", names=("LD_PRELOAD",), tensorflow="2.20.0", xla=False)
    flagged = {c.key for c in confounds({"environment"}, ours, under("default"))}
    assert flagged == {"tensorflow", "xla"}
    assert declared_differences({"environment"}, ours, under("default")) == ()


def test_the_revision_is_told() -> None:
    ours, theirs = under("a", "revision"), under("default")
    ours["environment"]["revision"] = {"commit": "abc", "dirty": False}
    theirs["environment"]["revision"] = {"commit": "def", "dirty": False}
    (told,) = declared_differences({"environment"}, ours, theirs)
    assert told == Confound("environment.revision.commit", "abc", "def")
