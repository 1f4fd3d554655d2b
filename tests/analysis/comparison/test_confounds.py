"""What differs between two arms beyond what is compared."""

import pytest

from bench.analysis.comparison.confounds import FOLLOWS, Confound, confounds
from bench.spec.variant import AXES

PLAIN = {"xla": True, "policy": "float32", "window_steps": 100, "node": "a", "devices": ["CPU:0"]}
NORMED = {**PLAIN, "norm_layers": 3, "norm_epsilon": 0.001, "norm_momentum": 0.99}


def test_equal_settings_confound_nothing() -> None:
    assert confounds({"activation"}, PLAIN, dict(PLAIN)) == ()


def test_what_follows_from_the_compared_axis_is_no_confound() -> None:
    assert confounds({"norm"}, NORMED, PLAIN) == ()
    assert confounds({"norm"}, PLAIN, NORMED) == ()
    assert confounds({"precision"}, {**PLAIN, "policy": "mixed_float16"}, PLAIN) == ()


def test_how_batch_norm_is_computed_follows_from_its_axis_and_from_the_norm() -> None:
    keras, fused = ({**NORMED, "batch_norm": name} for name in ("keras", "fused"))
    assert confounds({"batch_norm"}, fused, keras) == ()
    assert confounds({"norm"}, fused, PLAIN) == ()
    assert confounds({"clip"}, fused, keras) == (Confound("batch_norm", "fused", "keras"),)


def test_statistics_over_replicas_confound_how_batch_norm_is_computed() -> None:
    ours = {**NORMED, "batch_norm": "fused", "norm_synchronized": False}
    theirs = {**NORMED, "batch_norm": "keras", "norm_synchronized": True}
    assert confounds({"batch_norm"}, ours, theirs) == (Confound("norm_synchronized", False, True),)


def test_any_other_difference_is_named_with_both_values() -> None:
    found = confounds({"norm"}, {**NORMED, "xla": False}, PLAIN)
    assert found == (Confound("xla", value=False, baseline=True),)


def test_which_gpus_a_trial_was_given_confounds_nothing_but_other_cores_do() -> None:
    allotted = {"gpus": ["GPU-1"], "logical_gpus": [], "cores": [0, 1], "numa_node": 0}
    near = {**PLAIN, "allotted": allotted}
    assert confounds({"norm"}, {**PLAIN, "allotted": {**allotted, "gpus": ["GPU-2"]}}, near) == ()
    far = {**PLAIN, "allotted": {**allotted, "cores": [2, 3]}}
    assert confounds({"norm"}, far, near) == (Confound("allotted.cores", [2, 3], [0, 1]),)
    assert confounds({"replicas"}, far, near) == ()


def test_what_xla_compiles_is_a_confound_of_pipelines_but_not_of_jit() -> None:
    device, tfdata = {**PLAIN, "jit": "epoch"}, {**PLAIN, "jit": "step"}
    assert confounds({"pipeline"}, tfdata, device) == (Confound("jit", "step", "epoch"),)
    assert confounds({"jit"}, tfdata, device) == ()


def test_that_xla_compiles_less_of_a_step_on_several_replicas_is_a_confound() -> None:
    alone, several = {**PLAIN, "compiled": "step"}, {**PLAIN, "compiled": "passes"}
    assert confounds({"replicas", "strategy"}, several, alone) == (
        Confound("compiled", "passes", "step"),
    )
    assert confounds({"jit"}, several, alone) == ()


def test_variables_confound_unless_they_say_which_devices_a_trial_had() -> None:
    def given(**variables: str) -> dict[str, object]:
        return {**PLAIN, "variables": variables}

    cards = given(CUDA_VISIBLE_DEVICES="0"), given(CUDA_VISIBLE_DEVICES="1")
    assert confounds({"norm"}, *cards) == ()
    threads = given(OMP_NUM_THREADS="2"), given(OMP_NUM_THREADS="1")
    assert confounds({"norm"}, *threads) == (Confound("variables.OMP_NUM_THREADS", "2", "1"),)
    assert confounds({"workers"}, *threads) == ()


@pytest.mark.parametrize("axis", AXES)
def test_flags_for_xla_that_differ_follow_from_no_axis(axis: str) -> None:
    ours = {"variables": {"XLA_FLAGS": "--xla_gpu_autotune_level=0"}}
    assert [found.key for found in confounds({axis}, ours, {})] == ["variables.XLA_FLAGS"]


def test_what_follows_from_the_number_of_threads_is_no_confound_of_it() -> None:
    def with_threads(count: int, **more: object) -> dict[str, object]:
        given = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), str(count))
        bound = {"allotted": {"cores": list(range(count))}, "variables": given}
        return {**PLAIN, **bound, "intra_op_threads": count, **more}

    assert confounds({"threads"}, with_threads(2), with_threads(1)) == ()
    assert confounds({"norm"}, with_threads(2), with_threads(1)) != ()
    found = confounds({"threads"}, with_threads(2, xla=False), with_threads(1))
    assert found == (Confound("xla", value=False, baseline=True),)


def test_a_nested_setting_is_named_by_its_path() -> None:
    ours = {**PLAIN, "optimizer_config": {"name": "SGD", "learning_rate": 0.1}}
    theirs = {**PLAIN, "optimizer_config": {"name": "SGD", "learning_rate": 0.01}}
    found = (Confound("optimizer_config.learning_rate", 0.1, 0.01),)
    assert confounds({"norm"}, ours, theirs) == found
    assert confounds({"learning_rate"}, ours, theirs) == ()


def test_a_setting_that_one_arm_lacks_is_a_confound_unless_it_is_null() -> None:
    assert confounds({"activation"}, {**PLAIN, "cuda": "12.5"}, PLAIN) == (
        Confound("cuda", "12.5", None),
    )
    assert confounds({"activation"}, {**PLAIN, "cuda": None}, PLAIN) == ()


def test_windows_and_devices_must_be_the_same() -> None:
    other = {**PLAIN, "window_steps": 50, "node": "b"}
    assert {c.key for c in confounds({"norm"}, other, PLAIN)} == {"window_steps", "node"}


def test_what_differs_from_process_to_process_is_no_setting() -> None:
    ours = {**PLAIN, "pid": 12, "optimizer_config": {"name": "sgd_1"}}
    theirs = {**PLAIN, "pid": 34, "optimizer_config": {"name": "sgd"}}
    assert confounds({"norm"}, ours, theirs) == ()


@pytest.mark.parametrize("axis", FOLLOWS)
def test_what_follows_is_listed_for_axes_that_there_are(axis: str) -> None:
    assert axis in AXES


def test_a_library_that_one_arm_does_not_load_is_no_confound_and_another_version_is() -> None:
    def loaded(nccl: str | None) -> dict[str, object]:
        return {**PLAIN, "cuda_libraries": {"cudart": "12.9", "nccl": nccl}}

    assert confounds({"norm"}, loaded("2.32.3"), loaded(None)) == ()
    found = confounds({"norm"}, loaded("2.32.3"), loaded("2.30.1"))
    assert found == (Confound("cuda_libraries.nccl", "2.32.3", "2.30.1"),)


def test_how_nccl_sums_follows_from_the_devices_alone() -> None:
    near, far = ({**PLAIN, "nccl_transport": ways} for ways in (["P2P/NVL"], ["NET/Socket"]))
    assert confounds({"placement"}, near, far) == ()
    assert confounds({"norm"}, near, far) != ()


def test_what_a_norm_s_means_are_over_follows_from_sizes_and_confounds_all_else() -> None:
    ours, theirs = ({**NORMED, "norm_values": [n, 8], "norm_groups": [1, 1]} for n in (784, 16))
    for axis in ("norm", "hidden", "filters", "depth", "shape", "dataset", "workload"):
        assert confounds({axis}, ours, theirs) == ()
    values = (Confound("norm_values", [784, 8], [16, 8]),)
    assert confounds({"activation"}, ours, theirs) == values
    for axis in ("global_batch_size", "synchronized", "replicas"):
        assert confounds({axis}, ours, theirs) == ()
    older = {key: ours[key] for key in NORMED}
    assert len(confounds({"activation"}, ours, older)) == 2
