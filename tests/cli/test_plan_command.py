"""The shipped suites and what a plan shows, with every way of changing a suite."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.execution.estimation.estimator import START_S
from bench.measure.environment import cpu_model
from bench.measure.host import usable_cores
from bench.spec.suite import shipped_suites
from tests.cli.conftest import Command, error_line
from tests.support.sample_records import make_run
from tests.support.sample_suites import TINY, write_suite


def plan_json(command: Command, *words: str | Path) -> dict[str, Any]:
    result = command("plan", *words, "--json")
    assert (result.code, result.stderr) == (0, "")
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def axis(content: dict[str, Any], key: str) -> list[Any]:
    return [variant[key] for variant in content["variants"]]


def test_every_shipped_suite_is_listed_with_its_description(command: Command) -> None:
    result = command("suites")
    assert (result.code, result.stderr) == (0, "")
    listed = [line.split()[0] for line in result.stdout.splitlines() if line[0] != " "]
    assert listed == shipped_suites()
    assert {"quick", "notebook", "smoke"} <= set(listed)


def test_the_list_is_available_as_json(command: Command) -> None:
    rows = json.loads(command("suites", "--json").stdout)
    assert [row["name"] for row in rows] == shipped_suites()
    assert all(row["description"] and row["blocks"] >= 1 for row in rows)


@pytest.mark.parametrize("name", shipped_suites())
def test_every_shipped_suite_can_be_planned(command: Command, name: str) -> None:
    result = command("plan", name)
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{name}: ")


def test_a_plan_shows_variants_with_their_ids_counts_and_estimated_time(
    command: Command, tiny: Path
) -> None:
    shown = command("plan", tiny).stdout
    content = plan_json(command, tiny)
    for variant in content["variants"]:
        assert f"  {variant['variant_id']}  2 x " in shown
    assert "norm=none" in shown
    assert "norm=bn_post" in shown
    assert "2 variants, 2 blocks, 4 trials, 1 comparison a block" in shown
    assert f"About {4 * START_S:.0f} s" in shown


def test_a_plan_as_json_has_suite_variants_trials_and_pairs(command: Command, tiny: Path) -> None:
    content = plan_json(command, tiny)
    ids = {variant["variant_id"] for variant in content["variants"]}
    assert content["suite"]["name"] == "tiny"
    assert len(content["trials"]) == 4
    assert {trial["variant_id"] for trial in content["trials"]} == ids
    assert [trial["order"] for trial in content["trials"]] == [0, 1, 2, 3]
    (pair,) = content["pairs"]
    assert {pair["variant_id"], pair["baseline_id"]} == ids
    assert content["estimated_s"] > 0


def test_the_same_suite_has_the_same_plan_every_time(command: Command, tiny: Path) -> None:
    assert plan_json(command, tiny) == plan_json(command, tiny)


def test_set_replaces_a_value_of_the_variant(command: Command, tiny: Path) -> None:
    assert axis(plan_json(command, tiny, "--set", "epochs=7"), "epochs") == [7, 7]


def test_set_with_a_list_makes_an_axis(command: Command, tiny: Path) -> None:
    content = plan_json(command, tiny, "--set", "activation=relu,elu")
    assert axis(content, "activation") == ["relu", "elu", "relu", "elu"]


def test_set_with_a_single_value_removes_an_axis(command: Command, tiny: Path) -> None:
    content = plan_json(command, tiny, "--set", "norm=none")
    assert axis(content, "norm") == ["none"]
    assert content["pairs"] == []


def test_set_replaces_a_key_of_the_suite(command: Command, tiny: Path) -> None:
    content = plan_json(command, tiny, "--set", "blocks=5", "--set", "name=mine")
    assert content["suite"]["blocks"] == 5
    assert content["suite"]["name"] == "mine"
    assert len(content["trials"]) == 10


@pytest.mark.parametrize("key", ["variant.hidden", "matrix.hidden", "hidden"])
def test_an_axis_of_lists_can_be_set_by_any_of_its_names(
    command: Command, tiny: Path, key: str
) -> None:
    assert axis(plan_json(command, tiny, "--set", f"{key}=[8, 4]"), "hidden") == [[8, 4], [8, 4]]
    both = plan_json(command, tiny, "--set", f"{key}=[[8], [4]]", "--set", "norm=none")
    assert axis(both, "hidden") == [[8], [4]]


def test_blocks_repeats_every_comparison(command: Command, tiny: Path) -> None:
    content = plan_json(command, tiny, "--blocks", "3")
    assert [trial["block"] for trial in content["trials"]] == [0, 0, 1, 1, 2, 2]


def test_only_selects_variants_by_id(command: Command, tiny: Path) -> None:
    ids = axis(plan_json(command, tiny), "variant_id")
    assert axis(plan_json(command, tiny, "--only", ids[1]), "variant_id") == [ids[1]]
    assert axis(plan_json(command, tiny, "--only", ids[1][:4]), "variant_id") == [ids[1]]
    both = plan_json(command, tiny, "--only", ids[1], "--only", ids[0])
    assert axis(both, "variant_id") == ids


def test_only_selects_variants_by_a_value_of_an_axis(command: Command, tiny: Path) -> None:
    assert axis(plan_json(command, tiny, "--only", "norm=bn_post"), "norm") == ["bn_post"]
    both = plan_json(command, tiny, "--only", "norm=bn_post,none")
    assert axis(both, "norm") == ["none", "bn_post"]


def test_a_lost_baseline_is_named_with_the_way_to_keep_it(command: Command, tiny: Path) -> None:
    baseline, _ = axis(plan_json(command, tiny), "variant_id")
    assert plan_json(command, tiny)["lost_pairs"] == []
    content = plan_json(command, tiny, "--only", "norm=bn_post")
    assert [pair["baseline_id"] for pair in content["lost_pairs"]] == [baseline]
    assert f"--only {baseline}" in command("plan", tiny, "--only", "norm=bn_post").stdout
    ran = command("run", tiny, "--executor", "simulated", "--only", "norm=bn_post")
    assert (ran.code, f"--only {baseline}" in ran.stderr) == (0, True)


def test_a_shortened_plan_counts_the_variants_that_it_leaves_out(
    command: Command, tiny: Path
) -> None:
    widths = ",".join(f"[{width}]" for width in range(1, 151))
    shown = command("plan", tiny, "--set", f"hidden=[{widths}]").stdout
    assert "... and 100 more: --json lists all" in shown
    assert "300 variants" in shown


def test_control_characters_in_a_suite_do_not_reach_the_terminal(
    command: Command, tmp_path: Path
) -> None:
    nasty = {**TINY, "description": "a\u001b[31mb\rc", "matrix": {}, "compare": []}
    nasty["variants"] = [{"norm": "none", "label": "x\u001b]0;title\u0007y"}]
    shown = command("plan", write_suite(tmp_path / "nasty.toml", nasty)).stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\r" not in shown


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--set epoch=2", "unknown key 'epoch': did you mean 'epochs'?"),
        ("--set norm=bn_pots", "norm cannot be 'bn_pots': did you mean 'bn_post'?"),
        ("--set norm=[]", "norm is an empty list"),
        ("--set label=x", "set it in [[variants]]"),
        ("--set matrix=3", "matrix is a table"),
        ("--set epochs", "--set epochs: not KEY=VALUE"),
        ("--set global_batch_size=0", "global_batch_size cannot be 0"),
        ("--set hidden=[-1]", "hidden"),
        ("--set global_batch_size=257", "is larger than the data (256 examples)"),
        ("--blocks 0", "blocks cannot be 0"),
        ("--blocks 60000", "asks for 120000 trials, more than 100000"),
        ("--only zz", "'zz'"),
        ("--only norm=layer", "norm=layer: use one of none, bn_post"),
        ("--only norm=bn_pots", "norm cannot be 'bn_pots': did you mean 'bn_post'?"),
        ("--only nrom=none", "unknown key 'nrom': did you mean 'norm'?"),
    ],
)
def test_an_invalid_change_of_the_command_line_is_refused(
    command: Command, tiny: Path, words: str, reason: str
) -> None:
    assert reason in error_line(command("plan", tiny, *words.split()), 2)


def test_a_plan_uses_measurements_of_earlier_runs(command: Command, tiny: Path) -> None:
    cpu = {"model": cpu_model(), "usable_cores": usable_cores()}
    earlier = make_run(Path("results/runs/earlier"), TINY, environment={"node-1": {"cpu": cpu}})
    content = plan_json(command, tiny)
    assert {row["estimate_basis"] for row in content["variants"]} == {"measured"}
    assert {row["estimate_run"] for row in content["variants"]} == {str(earlier.path)}
    assert str(earlier.path) in command("plan", tiny).stdout


def test_a_plan_loads_no_numerical_library(tiny: Path) -> None:
    code = (
        "import sys; from bench.cli.entry_point import exit_code; code = exit_code(sys.argv[1:]);"
        "print(code, sorted({'numpy', 'pandas', 'pyarrow', 'ray', 'scipy'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "plan", str(tiny)], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "0 []"


def test_a_plan_and_a_run_on_the_same_kind_of_device_have_the_same_ids(
    command: Command, tmp_path: Path
) -> None:
    settings = {**TINY["variant"], "workload": "convnet", "filters": [2]}
    suite = write_suite(tmp_path / "convnet.toml", {**TINY, "variant": settings})
    ids = [trial["trial_id"] for trial in plan_json(command, suite, "--device", "cpu")["trials"]]
    result = command("run", suite, "--executor", "simulated", "--out", tmp_path / "run", "--json")
    assert list(json.loads(result.stdout)["trials"]) == ids
    on_gpus = plan_json(command, suite, "--device", "gpu")
    assert axis(on_gpus, "jit") == ["epoch", "epoch"]
    assert not {trial["trial_id"] for trial in on_gpus["trials"]} & {*ids}
