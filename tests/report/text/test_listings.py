"""Suites, plans and checked data files as text and as JSON."""

import json
from pathlib import Path

import pytest

from bench.datasets.fashion_mnist import FileCheck
from bench.execution.estimation.estimator import Estimator, estimated_trial_s
from bench.execution.estimation.run_history import MeasuredTime
from bench.execution.gpus.device_kind import CPU, DeviceKind
from bench.measure.host import usable_cores
from bench.report.text.listings import (
    files_json,
    files_text,
    plan_json,
    plan_text,
    suites_json,
    suites_text,
)
from bench.report.text.number_text import duration
from bench.spec.default_jit import xla_slowdown
from bench.spec.expand import expand
from bench.spec.plan import make_plan
from bench.spec.suite import Suite, load_suite, parse_suite, shipped_suites
from tests.support.sample_suites import SINGLE, TINY, suite_of

ON_GPU = Estimator(DeviceKind("NVIDIA H200", is_gpu=True))
CHECKS = [
    FileCheck(Path("a/train.gz"), "cache", ok=True),
    FileCheck(Path("a/test.gz"), "cache", ok=False, problem="is too short"),
    FileCheck(Path("b"), "Keras", ok=False, problem="no such folder"),
]


def test_suites_are_listed_in_a_column_of_names_and_one_of_descriptions() -> None:
    long = suite_of({**TINY, "description": "word " * 40})
    lines = suites_text([suite_of(TINY), long]).splitlines()
    assert lines[0] == "tiny            Does it run?"
    assert lines[1].startswith("tiny            word word")
    assert len(lines) > 2
    assert all(line.startswith(" " * 16 + "word") for line in lines[2:])
    assert max(map(len, lines)) <= 96


def test_the_name_of_every_shipped_suite_fits_its_column() -> None:
    for name in shipped_suites():
        assert suites_text([load_suite(name)])[len(name) : 16].isspace()


def test_suites_as_json_have_names_descriptions_and_blocks() -> None:
    assert json.loads(suites_json([suite_of(TINY)])) == [
        {"name": "tiny", "description": "Does it run?", "blocks": 2}
    ]


def test_a_plan_lists_its_variants_and_counts_its_trials() -> None:
    suite = suite_of(TINY)
    text = plan_text(suite, make_plan(suite))
    head, empty, *variants = text.splitlines()[:4]
    assert (head, empty) == ("tiny: Does it run?", "")
    for line, cell in zip(variants, expand(suite), strict=True):
        time = duration(estimated_trial_s(cell.variant))
        assert line.split() == [cell.id, "2", "x", *time.split(), cell.label]
    assert "2 variants, 2 blocks, 4 trials, 1 comparison a block" in text


def test_the_time_of_a_plan_is_the_sum_over_its_trials() -> None:
    suite = suite_of(TINY)
    plan = make_plan(suite)
    total = sum(estimated_trial_s(trial.variant) for trial in plan.trials)
    assert f"About {duration(total)} one after another" in plan_text(suite, plan)
    assert json.loads(plan_json(suite, plan))["estimated_s"] == pytest.approx(total)


def test_counts_of_one_are_written_in_the_singular() -> None:
    suite = suite_of(SINGLE)
    assert "1 variant, 1 block, 1 trial, 0 comparisons" in plan_text(suite, make_plan(suite))


def with_variants(count: int) -> Suite:
    rates = [0.001 * (i + 1) for i in range(count)]
    return parse_suite({**TINY, "matrix": {"learning_rate": rates}, "compare": []})


@pytest.mark.parametrize(("count", "hidden"), [(200, 0), (201, 1), (230, 30)])
def test_a_long_plan_is_shortened_as_text_but_not_as_json(count: int, hidden: int) -> None:
    suite = with_variants(count)
    plan = make_plan(suite)
    text = plan_text(suite, plan)
    assert text.count("learning_rate=") == count - hidden
    assert (f"... and {hidden} more: --json lists all" in text) == bool(hidden)
    assert len(json.loads(plan_json(suite, plan))["variants"]) == count


def test_a_description_is_shown_without_control_characters() -> None:
    suite = suite_of({**TINY, "description": "a\x1b[31mred\nline"})
    for text in (plan_text(suite, make_plan(suite)), suites_text([suite])):
        assert "\x1b" not in text
        assert "red line" in " ".join(text.split())


def test_a_plan_as_json_lists_each_variant_once() -> None:
    suite = suite_of(TINY)
    content = json.loads(plan_json(suite, make_plan(suite)))
    by_id = {row["variant_id"]: row for row in content["variants"]}
    assert [row["norm"] for row in by_id.values()] == ["none", "bn_post"]
    assert {trial["variant_id"] for trial in content["trials"]} == set(by_id)
    assert all("variant" not in trial for trial in content["trials"])
    assert [pair["axis"] for pair in content["pairs"]] == ["norm"]
    assert parse_suite(content["suite"]) == suite


def test_a_damaged_file_is_marked_with_the_problem() -> None:
    good, bad, missing = files_text(CHECKS).splitlines()
    assert good.split() == ["ok", "cache", "a/train.gz"]
    assert bad.startswith("BAD ") and bad.endswith("a/test.gz  (is too short)")
    assert missing.startswith("none") and missing.endswith("(no such folder)")
    assert good.index("a/train") == bad.index("a/test") == missing.index("b  (")


def test_checked_files_as_json_have_the_same_facts() -> None:
    good, bad, _ = json.loads(files_json(CHECKS))
    assert good == {"path": "a/train.gz", "place": "cache", "ok": True, "problem": None}
    assert (bad["ok"], bad["problem"]) == (False, "is too short")


CARD = DeviceKind("NVIDIA L4", is_gpu=True, memory_bytes=1000)


def test_a_plan_names_the_source_of_its_times() -> None:
    suite = suite_of(TINY)
    plan = make_plan(suite)
    first, second = plan.cells
    measured = {first.id: MeasuredTime(start_s=1000.0, epoch_s=1.0, run="results/runs/a")}
    text = plan_text(suite, plan, Estimator(CPU, measured))
    assert "results/runs/a" in text
    assert duration(1002.0) in text
    content = json.loads(plan_json(suite, plan, Estimator(CPU, measured)))
    rows = {row["variant_id"]: row for row in content["variants"]}
    measured_row, other_row = rows[first.id], rows[second.id]
    assert (measured_row["estimate_basis"], measured_row["estimate_run"]) == (
        "measured",
        "results/runs/a",
    )
    assert measured_row["estimated_trial_s"] == 1002.0
    assert (other_row["estimate_basis"], other_row["estimate_run"]) == ("rates", None)
    per_block = measured_row["estimated_trial_s"] + other_row["estimated_trial_s"]
    assert content["estimated_s"] == pytest.approx(suite.blocks * per_block)


def test_a_plan_for_a_gpu_names_the_gpu_and_the_variants_that_may_not_fit() -> None:
    suite = suite_of(TINY)
    plan = make_plan(suite)
    *_, larger, smaller = plan_text(suite, plan, Estimator(CARD)).splitlines()
    for line, label in ((larger, "norm=bn_post"), (smaller, "norm=none")):
        assert line.startswith(label)
        assert CARD.name in line
    content = json.loads(plan_json(suite, plan, Estimator(CARD)))
    assert content["estimated_for"] == {
        "name": "NVIDIA L4",
        "is_gpu": True,
        "memory_bytes": 1000,
    }
    assert {row["estimate_basis"] for row in content["variants"]} == {"guess"}
    assert all(row["needed_memory_bytes"] > 1000 for row in content["variants"])


def test_a_plan_says_how_many_devices_the_largest_trial_takes() -> None:
    suite = suite_of({**TINY, "matrix": {"replicas": [1, 4]}, "compare": []}, strategy="mirrored")
    assert "4 devices" in plan_text(suite, make_plan(suite))


def test_a_plan_counts_several_source_runs_instead_of_listing_them() -> None:
    suite = suite_of(TINY)
    plan = make_plan(suite)
    measured = {c.id: MeasuredTime(1.0, 1.0, f"runs/{n}") for n, c in enumerate(plan.cells)}
    text = plan_text(suite, plan, Estimator(CPU, measured))
    assert "2 earlier runs" in text
    assert "runs/0" not in text


def jit_lines(suite: Suite, estimator: Estimator) -> list[str]:
    text = plan_text(suite, make_plan(suite, estimator.device.type), estimator)
    return [line for line in text.splitlines() if "jit" in line and not line.startswith("  ")]


def test_a_plan_shows_the_default_jit_and_the_reason() -> None:
    suite = suite_of(SINGLE, workload="convnet")
    (on_cpu,) = jit_lines(suite, Estimator())
    slowdown = xla_slowdown("convnet", "epoch", "cpu")
    for part in ("none for convnet", f"{slowdown:.0f} times"):
        assert part in on_cpu
    (on_gpu,) = jit_lines(suite, ON_GPU)
    assert "epoch for convnet" in on_gpu
    assert "times" not in on_gpu


def test_a_plan_warns_about_a_slow_jit_in_the_suite_with_its_slowdown() -> None:
    suite = suite_of(SINGLE, workload="convnet", jit="epoch")
    _, warning = jit_lines(suite, Estimator())
    slowdown = xla_slowdown("convnet", "epoch", "cpu")
    for part in ("1 variant", "convnet", "epoch", f"{slowdown:.0f} times", 'jit = "none"'):
        assert part in warning
    assert len(jit_lines(suite, ON_GPU)) == 1
    assert len(jit_lines(suite_of(SINGLE, jit="epoch"), Estimator())) == 1


def test_a_plan_shows_the_jit_that_the_suite_sets() -> None:
    (line,) = jit_lines(suite_of(SINGLE, workload="convnet", jit="none"), Estimator())
    assert line.startswith("jit: none,")


def test_a_plan_warns_about_more_threads_than_cores() -> None:
    cores = usable_cores()

    def has_warning(threads: int) -> bool:
        suite = suite_of(SINGLE, threads=threads)
        return f"warning: threads {threads} " in plan_text(suite, make_plan(suite))

    assert (has_warning(cores), has_warning(cores + 1)) == (False, True)


def test_a_plan_as_json_says_whether_jit_is_the_default_and_how_slow_it_is() -> None:
    for settings, is_default, slowdown in (
        ({}, True, None),
        ({"jit": "epoch"}, False, xla_slowdown("convnet", "epoch", "cpu")),
    ):
        suite = suite_of(SINGLE, workload="convnet", **settings)
        (row,) = json.loads(plan_json(suite, make_plan(suite)))["variants"]
        assert (row["jit_is_default"], row["xla_slowdown"]) == (is_default, slowdown)
