"""What is published names no host, no user's folder and no address, and is else the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.anonymous import renamer

INFO: dict[str, Any] = {"invocations": [{"environment": {"driver": {}, "gpu1": {}, "gpu10": {}}}]}
rename = renamer(INFO, [{"node": "laptop"}])


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("gpu1", "node-1"),
        ("gpu10", "node-2"),
        ("gpu100", "gpu100"),
        ("laptop", "node-3"),
        ("gpu10/worker:0/CPU:0", "node-2/worker:0/CPU:0"),
        ("pid 7 on gpu1) died", "pid 7 on node-1) died"),
        ("/home/ann/work/bench/run.py", "run.py"),
        ("--out=~/runs/quick", "--out=quick"),
        ("bench run ~/suites/mine.toml", "bench run mine.toml"),
        ("results/runs/quick-1", "results/runs/quick-1"),
        ("/job:worker/replica:0/task:1", "/job:worker/replica:0/task:1"),
        ("/device:GPU:0", "/device:GPU:0"),
        ("3.15.1", "3.15.1"),
        ("12.9.1.4", "12.9.1.4"),
    ],
)
def test_names_go_and_what_is_no_name_stays(text: str, public: str) -> None:
    assert rename(text) == public


def test_addresses_go_from_what_a_process_said_alone() -> None:
    record = {"error": "no answer from 10.0.0.7:6379", "packages": {"cublas": "12.9.1.4"}}
    assert rename(record) == {
        "error": "no answer from ADDRESS:6379",
        "packages": {"cublas": "12.9.1.4"},
    }


def test_of_the_loaders_folders_the_number_alone_is_public() -> None:
    node = {"library_path": ["/home/ann", "/opt/cuda/lib64"], "packages": {}}
    assert rename(node) == {"library_path": ["FOLDER", "FOLDER"], "packages": {}}


@pytest.mark.parametrize(
    ("words", "public"),
    [
        (("--address", "10.0.0.5:6379"), ("--address", "ADDRESS")),
        (("--address=head.example.org:6379",), ("--address=ADDRESS",)),
        (("--set", "norm=none"), ("--set", "norm=none")),
    ],
)
def test_the_address_of_a_cluster_goes_from_commands(
    words: tuple[str, ...], public: tuple[str, ...]
) -> None:
    info = {"invocations": [{"command": ["bench", "run", "quick", *words], "environment": {}}]}
    (call,) = renamer(info, [])(info)["invocations"]
    assert call["command"] == ["bench", "run", "quick", *public]


def test_two_nodes_of_one_name_stay_apart() -> None:
    info: dict[str, Any] = {"invocations": [{"environment": {"gpu1": {}, "gpu1 (10.0.0.7)": {}}}]}
    public = renamer(info, [])(info)
    assert set(public["invocations"][0]["environment"]) == {"node-1", "node-1 (ADDRESS)"}


def test_a_host_that_is_called_as_a_word_of_ours_takes_no_word_with_it() -> None:
    info: dict[str, Any] = {
        "invocations": [{"executor": "ray", "environment": {"driver": {}, "ray": {}, "mlp": {}}}],
        "suite": {"name": "ray", "variant": {"workload": "mlp"}},
    }
    record = {"trial": {"variant": {"workload": "mlp"}}, "status": "completed", "node": "mlp"}
    public = renamer(info, [record])
    assert public(record) == {**record, "node": "node-2"}
    assert public(info) == {
        **info,
        "invocations": [
            {"executor": "ray", "environment": {"driver": {}, "node-1": {}, "node-2": {}}}
        ],
    }


def test_what_was_simulated_still_says_so() -> None:
    info: dict[str, Any] = {"invocations": [{"executor": "simulated", "environment": {}}]}
    record = {"node": "simulated", "resolved": {"simulated": True}, "error": "simulated"}
    assert renamer(info, [record])([info, record]) == [info, record]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
    )
)
def test_nothing_measured_changes(value: Any) -> None:
    assert rename(value) == value
