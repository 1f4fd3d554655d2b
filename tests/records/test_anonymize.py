"""A published run has only the listed fields, in known shapes."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.statistics.stopping import decide
from bench.measure.environment import environment
from bench.records.anonymize import OPTIONS, public_info, public_record
from bench.records.pseudonyms import Pseudonyms
from bench.records.public_values import reason
from bench.records.run_info import RunInfo
from bench.records.trial_record import TrialRecord
from bench.spec.defaults import fill_defaults
from bench.spec.pairing import Pair
from bench.spec.variant import Variant
from bench.spec.variant_rules import inactive_settings
from tests.support.paths import ROOT
from tests.support.sample_records import looked_at, make_run

SECRETS = (
    *("gpu-box-7.corp.example", "annabel", "annabel@gpu-box-7", "203.0.113.77", "10.20.30.40"),
    *("fe80::1ff:fe23:4567:890a", "2001:db8::7", "[2001:db8::7]:6379", "02:42:ac:11:00:02"),
    *(
        "/home/annabel/secret",
        "~annabel/secret",
        "file:///home/annabel/x",
        "C:\\Users\\annabel",
        "//host/share",
    ),
    *("ghp_0a1b2C3d4E5f6G7h8I9j", "AKIAIOSFODNN7EXAMPLE", "d8bc3e8b-f92e-4c29-b7be-1e42ab27044b"),
    *(
        "ssh://annabel@10.20.30.40/x",
        "s3://bucket-of-annabel/key",
        "Annabel's laptop",
        "deadbeefcafe0001.local",
    ),
)
WRAPPED = ("{}", "no answer from {} in 3 s", "{}: not found", "({})", "--x={}", "a,{}", "{}/CPU:0")

SUITE: dict[str, Any] = {
    "name": "norms",
    "blocks": 1,
    "variant": {"epochs": 2, "health_epochs": [-1]},
    "matrix": {"norm": ["none", "bn_post"]},
    "compare": [{"axis": "norm", "baseline": "none"}],
}
CARD = {
    "index": 0,
    "name": "NVIDIA H100 80GB HBM3",
    "uuid": "GPU-0c3e1f66-5d27-4b5b-8a83",
    "pci_bus_id": "0000:81:00.0",
    "memory_bytes": 85 * 10**9,
    "compute_capability": "9.0",
    "mig": False,
    "instances": [],
    "state": {"compute_mode": "default", "ecc": True},
}
MACHINE: dict[str, Any] = {
    "os": {
        "name": "Debian GNU/Linux 12 (bookworm)",
        "kernel": "6.1.0-13-amd64",
        "architecture": "x86_64",
        "boot": "d8bc3e8b-f92e-4c29-b7be-1e42ab27044c",
    },
    "python": {"version": "3.11.7", "kind": "CPython"},
    "cpu": {"model": "AMD EPYC 7763 64-Core Processor", "governor": "performance", "affinity": [0]},
    "memory": {"total_bytes": 10**10},
    "container": "docker",
    "gpus": [CARD],
    "driver": {"version": "550.54.15", "cuda": "12.4"},
    "gpu_error": None,
    "packages": {"tensorflow": "2.21.0", "nvidia-cublas-cu12": "12.9.1.4"},
    "source": {"commit": "224dd2dd8fd6376a6dafddaaf09aec33cc8cd526", "dirty": False},
    "variables": {"OMP_NUM_THREADS": "2", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2"},
    "library_path": ["/opt/cuda/lib64"],
}
RESOLVED = {
    "policy": "float32",
    "jit": "epoch",
    "build": {"cpu_compiler": "clang", "cuda_compute_capabilities": ["sm_80"]},
    "optimizer_config": {"name": "sgd", "learning_rate": 0.001},
    "tensorflow": "2.21.0",
    "tensorflow_strategy": "MirroredStrategy",
    "reduction": "NcclAllReduce",
    "nccl_transport": ["P2P/NVL"],
    "variables": {"CUDA_VISIBLE_DEVICES": "0,1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
    "visible_gpus": "GPU-0c3e1f66-5d27-4b5b-8a83",
    "allotted": {"gpus": ["GPU-0c3e1f66-5d27-4b5b-8a83"], "cores": [0, 1]},
}


def as_trained(record: TrialRecord) -> TrialRecord:
    known = {
        "node": "worker7",
        "devices": (CARD["uuid"], "worker7/worker:0/CPU:0"),
        "error": "the training loss was nan in epoch 0",
        "log_tail": "Traceback",
        "warnings": ("x",),
        "resolved": RESOLVED,
        "left_out": ({"node": "worker7", "devices": ("GPU:0",), "reason": "x"},),
    }
    changed = {**looked_at(record).model_dump(mode="json"), **known}
    return TrialRecord.model_validate(changed)


@pytest.fixture(scope="module")
def run_data(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The content of run.json and records with every field that may hold text."""
    environments = {"driver": MACHINE, "worker7": MACHINE, "worker7 (10.0.0.7)": MACHINE}
    folder = make_run(
        tmp_path_factory.mktemp("made") / "run", SUITE, change=as_trained, environment=environments
    )
    info = folder.info().model_dump(mode="json")
    info["invocations"][0] |= {
        "warnings": ["x"],
        "command": ["bench", "run", "quick", "--out", "x"],
    }
    return info, [json.loads(record.model_dump_json()) for record in folder.records()]


def public(info: dict[str, Any], records: list[dict[str, Any]]) -> str:
    names = Pseudonyms()
    published_info = public_info(names, info)
    return json.dumps(
        [published_info, *(public_record(names, r, published_info["labels"]) for r in records)]
    )


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each text, as a value or a key; a last step None means a key."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key, None)
            yield from texts(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from texts(inner, (*path, i))


OTHERS = re.compile(
    # The suite's own words, and what is one of a few words wherever a record is read.
    r"\('info', '(suite|labels|remark|schema_version)'.*"
    r"|\('info', '(trial_ids|pairs|duplicates|defaults_for)', .*"
    r"|\('records', \d+, '(trial|status|schema_version)'.*"
    r"|\('(info|records)', None\)"
)


@given(data=st.data())
def test_no_field_publishes_a_secret(
    run_data: tuple[dict[str, Any], list[dict[str, Any]]], data: st.DataObject
) -> None:
    whole: Any = copy.deepcopy({"info": run_data[0], "records": run_data[1]})
    secret = data.draw(st.sampled_from(SECRETS))
    for _ in range(data.draw(st.integers(1, 3))):
        places = [path for path in texts(whole) if not OTHERS.match(str(path))]
        *way, last = data.draw(st.sampled_from(places))
        text = data.draw(st.sampled_from(WRAPPED)).format(secret)
        parent: Any = whole
        for step in way[:-1] if last is None else way:
            parent = parent[step]
        if last is None:
            parent[text] = parent[way[-1]]
        else:
            parent[last] = text
    published = public(whole["info"], whole["records"])
    assert secret not in published
    assert json.dumps(secret)[1:-1] not in published


def test_public_values_are_published(
    run_data: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    info, records = run_data
    names = Pseudonyms()
    published_info = public_info(names, info)
    first = public_record(names, records[0], published_info["labels"])
    (call,) = published_info["invocations"]
    assert set(call["environment"]) == {"driver", "node-1", "node-1 (address-1)"}
    machine = call["environment"]["driver"]
    keys = ("python", "cpu", "memory", "container", "packages", "source", "variables", "driver")
    assert {key: machine[key] for key in keys} == {key: MACHINE[key] for key in keys}
    assert machine["os"]["name"] == MACHINE["os"]["name"]
    assert machine["os"]["kernel"] == "6.1.0-build-1"
    assert machine["gpus"][0]["name"] == CARD["name"]
    assert first["devices"] == ["GPU-1", "node-1/worker:0/CPU:0"]
    assert first["resolved"]["visible_gpus"] == machine["gpus"][0]["uuid"] == "GPU-1"
    assert first["error"] == records[0]["error"]
    assert first["log_tail"] is None
    assert first["trial"] == records[0]["trial"]
    for same in ("measures", "epochs", "health", "status", "wall_s"):
        assert first[same] == records[0][same]
    assert published_info["suite"] == info["suite"]


def test_the_last_look_is_published_without_variants_that_the_run_does_not_have(
    run_data: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    (pair,) = run_data[0]["pairs"]
    secret = {**pair, "variant_id": "annabel"}
    look = decide(
        pd.DataFrame(
            {
                "pair": 0,
                "baseline_id": pair["baseline_id"],
                "block": range(6),
                "part": 0,
                "session": 0,
                "log": [0.1, 0.2, 0.1, 0.3, 0.1, 0.2],
            }
        ),
        [Pair(**pair), Pair(**secret)],
        blocks=6,
        precision=0.02,
        max_blocks=30,
    )
    info = RunInfo.model_validate({**run_data[0], "stopping": look})
    published = public_info(Pseudonyms(), info.model_dump(mode="json"))["stopping"]
    assert published == {**look.model_dump(mode="json"), "left_out": []}
    assert published["widest_pair"] == pair


def test_publishing_a_published_run_changes_nothing(
    run_data: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    once = public(*run_data)
    info, *records = json.loads(once)
    assert public(info, records) == once


def test_equal_values_stay_equal_and_different_ones_different(
    run_data: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    info = copy.deepcopy(run_data[0])
    environments = info["invocations"][0]["environment"]
    environments["worker7"]["os"]["boot"] = "another"
    environments["worker7"]["variables"]["LD_PRELOAD"] = "/home/annabel/a.so"
    published_info = public_info(Pseudonyms(), info)["invocations"][0]["environment"]
    driver, other, same = (
        published_info["driver"],
        published_info["node-1"],
        published_info["node-1 (address-1)"],
    )
    assert driver["os"]["boot"] == same["os"]["boot"] != other["os"]["boot"]
    assert other["variables"]["LD_PRELOAD"].startswith("hidden-")


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("TensorFlow aborted: out of memory", "TensorFlow aborted: out of memory"),
        ("NotFoundError: /home/annabel/x is missing", "NotFoundError: … is …"),
        ("OOM when allocating tensor with shape[32,784]", "OOM when allocating tensor with …"),
        ("its process (pid 7 on gpu-7) died", "its process (pid 7 on … died"),
        ("global_batch_size 512 of the same variant", "global_batch_size 512 of the same variant"),
    ],
)
def test_a_reason_keeps_the_words_of_the_vocabulary(
    run_data: tuple[dict[str, Any], list[dict[str, Any]]], text: str, published: str
) -> None:
    record = {**run_data[1][0], "error": text}
    assert public_record(Pseudonyms(), record, {})["error"] == published


@pytest.mark.parametrize(
    ("command", "published"),
    [
        ("bench run quick --blocks 3 --resume", "bench run quick --blocks 3 --resume"),
        ("bench run /home/annabel/x.toml --out runs/x", "bench run HIDDEN --out HIDDEN"),
        ("bench run quick --address 10.0.0.5:6379", "bench run quick --address HIDDEN"),
        ("bench run quick --address=head.example.org:6379", "bench run quick --address=HIDDEN"),
        (
            "bench run quick --set norm=none --set x=y",
            "bench run quick --set norm=none --set HIDDEN",
        ),
        ("bench run quick --until 2% --max-time=20m", "bench run quick --until 2% --max-time=20m"),
        ("bench run quick --until 2%/x", "bench run quick --until HIDDEN"),
        ("bench run quick --secret x", "bench run quick HIDDEN HIDDEN"),
    ],
)
def test_options_and_the_suite_s_words_of_a_command_are_published(
    run_data: tuple[dict[str, Any], list[dict[str, Any]]], command: str, published: str
) -> None:
    info = copy.deepcopy(run_data[0])
    info["invocations"][0]["command"] = command.split()
    assert public_info(Pseudonyms(), info)["invocations"][0]["command"] == published.split()


def test_a_list_that_the_suite_holds_is_published_however_it_is_spaced(
    run_data: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    info = copy.deepcopy(run_data[0])
    info["suite"]["variant"] = {"hidden": [100, 50]}
    words = ["bench", "run", "quick", "--set", "hidden=[100,50]", "--set", "hidden=[100, 50]"]
    info["invocations"][0]["command"] = [*words, "--set", "hidden=[7,7]"]
    public = public_info(Pseudonyms(), info)["invocations"][0]["command"]
    assert public == [*words, "--set", "HIDDEN"]


def test_environments_are_published_without_paths_commands_and_values(
    run_data: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    info, records = copy.deepcopy(run_data)
    variables = {"TF_ENABLE_ONEDNN_OPTS": "0", "LD_PRELOAD": "/home/ann/x.so", "ANN_TOKEN": None}
    table = {"python": "/home/ann/python", "setup": "curl ann", "variables": variables}
    info["suite"]["environments"] = {"a": {**table, "revision": "v1", "threads": 2}}
    resolved = {"name": "a", "sets": ["python"], "variables": ["ANN_TOKEN", "LD_PRELOAD"]}
    source = {"commit": "0123456789abcdef", "dirty": True}
    records[0]["resolved"]["environment"] = {**resolved, "revision": source}
    names = Pseudonyms()
    public = public_info(names, info)["suite"]["environments"]["a"]
    assert (public["revision"], public["threads"]) == ("v1", 2)
    assert public["variables"]["TF_ENABLE_ONEDNN_OPTS"] == "0"
    record = public_record(names, records[0], {})["resolved"]["environment"]
    assert record["variables"][1] == "LD_PRELOAD"
    assert record["revision"] == source
    assert "ann" not in f"{public} {record}".lower()


def test_every_option_of_bench_run_may_be_published() -> None:
    import inspect

    from bench.cli.run_command import run

    parameters = {
        name for name in inspect.signature(run, eval_str=True).parameters if name != "suite"
    }
    renamed = {"changes": "set", "as_json": "json"}
    assert {f"--{renamed.get(n, n).replace('_', '-')}" for n in parameters} <= OPTIONS


def test_every_field_of_a_run_and_of_this_machine_is_listed(
    run_data: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    info, records = copy.deepcopy(run_data)
    info["invocations"][0]["environment"]["driver"] = here = environment()
    names = Pseudonyms()
    published_info = public_info(names, info)
    assert set(published_info) == set(RunInfo.model_fields)
    assert set(published_info["invocations"][0]) == set(info["invocations"][0])
    published = published_info["invocations"][0]["environment"]["driver"]
    assert {*_keys(published)} == {*_keys(here)}
    record = public_record(names, records[0], {})
    assert set(record) == set(TrialRecord.model_fields)
    assert {*_keys(record)} == {*_keys(records[0])}


def _keys(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _keys(inner, f"{path}.{key}")
    else:
        yield path


@pytest.mark.parametrize("name", ["quick", "scaling", "activations"])
def test_resolved_settings_of_published_runs_are_listed(name: str) -> None:
    path = ROOT / "results/published" / name / "records.jsonl"
    for line in path.read_text().splitlines():
        record = json.loads(line)
        published = public_record(Pseudonyms(), record, {})["resolved"]
        assert published == record["resolved"]


def test_why_a_setting_has_no_effect_is_published_unchanged() -> None:
    plain = Variant.model_validate(fill_defaults({}))
    skipping = plain.model_copy(update={"precision": "mixed_float16"})
    for why in {*inactive_settings(plain).values(), *inactive_settings(skipping).values()}:
        assert reason(Pseudonyms(), why) == why
