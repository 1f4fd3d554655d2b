"""What stands above the table: each command, machine and source of a run, and when they differ."""

import copy
from pathlib import Path
from typing import Any

from bench.analysis.summary import Summary, summarize
from bench.records.trial_record import LeftOut
from bench.report.text.footnotes import of_summary
from bench.report.text.latex import latex
from bench.report.text.report_header import header_facts
from bench.report.text.table_formats import markdown
from tests.support.sample_records import ENVIRONMENT, made_run


def run_of(path: Path, *calls: dict[str, Any]) -> Summary:
    """A run of as many invocations as there are ``calls``, each changed by its own."""
    folder = made_run(path, invocations=len(calls))
    info = folder.info()
    changed = [i.model_copy(update=c) for i, c in zip(info.invocations, calls, strict=True)]
    folder.write_info(info.model_copy(update={"invocations": tuple(changed)}))
    return summarize(folder.path)


def elsewhere(**driver: Any) -> dict[str, Any]:
    environment = copy.deepcopy(ENVIRONMENT)
    environment["driver"] |= driver
    return environment


RESUMED = ("bench", "run", "norms", "--resume")


def test_each_command_is_named_with_the_invocations_that_it_made(tmp_path: Path) -> None:
    calls: list[dict[str, Any]] = [{}, {"command": RESUMED}, {"command": RESUMED}]
    assert dict(header_facts(run_of(tmp_path / "run", *calls)))["Command"] == (
        "bench run norms (invocation 1); bench run norms --resume (invocations 2, 3)"
    )


def test_machines_software_and_sources_that_differ_are_all_listed(tmp_path: Path) -> None:
    other = elsewhere(
        cpu={"model": "Model 2 CPU"},
        packages={"tensorflow": "2.22.0"},
        source={"commit": "fedcba9876543210", "dirty": False},
        gpus=[{"name": "A100"}],
    )
    found = dict(header_facts(run_of(tmp_path / "run", {}, {"environment": other})))
    for title, first, second in (
        ("Machine", "Model 1 CPU", "Model 2 CPU"),
        ("Software", "tensorflow 2.21.0", "tensorflow 2.22.0"),
        ("Source", "0123456789ab", "fedcba987654"),
        ("GPUs", "none", "1 × A100"),
    ):
        before, after = found[title].split("; ")
        assert first in before and before.endswith("(invocation 1)")
        assert second in after and after.endswith("(invocation 2)")
    assert found["Variables"] == "OMP_NUM_THREADS=2"


def test_what_an_invocation_did_not_record_is_unknown(tmp_path: Path) -> None:
    found = dict(
        header_facts(run_of(tmp_path / "run", {}, {"environment": elsewhere(source=None)}))
    )
    assert found["Source"].endswith("not committed (invocation 1); unknown (invocation 2)")


def test_a_difference_is_said_below_the_table_in_every_format(tmp_path: Path) -> None:
    other = {"environment": elsewhere(cpu={"model": "Model 2 CPU"})}
    summary = run_of(tmp_path / "run", {}, other)
    (said,) = [text for text in of_summary(summary) if "differ in" in text]
    assert said.startswith("Invocations differ in Machine: ")
    for text in (markdown(summary), latex(summary)):
        assert "Invocations differ in Machine: summary.md" in text


def test_nothing_is_said_where_only_the_command_differs(tmp_path: Path) -> None:
    summary = run_of(tmp_path / "run", {}, {"command": RESUMED})
    assert not any("differ in" in text for text in of_summary(summary))


def test_gpus_that_were_left_out_or_held_are_named_below_the_table_once(tmp_path: Path) -> None:
    left_out = LeftOut(node="node-1", devices=("GPU-1",), reason="somebody's")
    calls = {"left_out": (left_out,), "warnings": ("much of GPU-2 was held",)}
    summary = run_of(tmp_path / "run", calls, calls)
    (said,) = [text for text in of_summary(summary) if "GPU-1" in text]
    assert "node-1" in said
    assert "GPU-1" in markdown(summary)
    assert len([text for text in of_summary(summary) if "GPU-2" in text]) == 1
    assert not any("GPU" in text for text in of_summary(run_of(tmp_path / "another", {})))


def test_a_run_that_never_started_has_no_machine(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", change=lambda _record: None)
    folder.write_info(folder.info().model_copy(update={"invocations": ()}))
    assert {"Command", "Machine"}.isdisjoint(dict(header_facts(summarize(folder.path))))
