"""The facts above the table: commands, machines and sources, and where invocations differ."""

import copy
from pathlib import Path
from typing import Any

from bench.analysis.summary import Summary, summarize
from bench.records.trial_record import ExcludedGpus
from bench.report.text.latex import latex
from bench.report.text.report_header import header_facts
from bench.report.text.table_formats import markdown
from bench.report.text.table_notes import table_notes
from tests.support.sample_records import ENVIRONMENT, make_run


def summary_of(path: Path, *calls: dict[str, Any]) -> Summary:
    """Summarize a run with one invocation per call; ``calls`` has the fields of each to change."""
    folder = make_run(path, invocations=len(calls))
    info = folder.info()
    invocations = [i.model_copy(update=c) for i, c in zip(info.invocations, calls, strict=True)]
    folder.write_info(info.model_copy(update={"invocations": tuple(invocations)}))
    return summarize(folder.path)


def other_environment(**driver: Any) -> dict[str, Any]:
    environment = copy.deepcopy(ENVIRONMENT)
    environment["driver"] |= driver
    return environment


RESUMED = ("bench", "run", "norms", "--resume")


def test_each_command_is_listed_with_its_invocations(tmp_path: Path) -> None:
    calls: list[dict[str, Any]] = [{}, {"command": RESUMED}, {"command": RESUMED}]
    assert dict(header_facts(summary_of(tmp_path / "run", *calls)))["Command"] == (
        "bench run norms (invocation 1); bench run norms --resume (invocations 2, 3)"
    )


def test_different_machines_software_and_sources_are_all_listed(tmp_path: Path) -> None:
    other = other_environment(
        cpu={"model": "Model 2 CPU"},
        packages={"tensorflow": "2.22.0"},
        source={"commit": "fedcba9876543210", "dirty": False},
        gpus=[{"name": "A100"}],
    )
    facts = dict(header_facts(summary_of(tmp_path / "run", {}, {"environment": other})))
    for title, first, second in (
        ("Machine", "Model 1 CPU", "Model 2 CPU"),
        ("Software", "tensorflow 2.21.0", "tensorflow 2.22.0"),
        ("Source", "0123456789ab", "fedcba987654"),
        ("GPUs", "none", "1 × A100"),
    ):
        before, after = facts[title].split("; ")
        assert first in before and before.endswith("(invocation 1)")
        assert second in after and after.endswith("(invocation 2)")
    assert facts["Variables"] == "OMP_NUM_THREADS=2"


def test_a_fact_that_an_invocation_did_not_record_is_unknown(tmp_path: Path) -> None:
    facts = dict(
        header_facts(
            summary_of(tmp_path / "run", {}, {"environment": other_environment(source=None)})
        )
    )
    assert facts["Source"].endswith("uncommitted changes (invocation 1); unknown (invocation 2)")


def test_a_difference_is_noted_below_the_table_in_every_format(tmp_path: Path) -> None:
    other = {"environment": other_environment(cpu={"model": "Model 2 CPU"})}
    summary = summary_of(tmp_path / "run", {}, other)
    (note,) = [text for text in table_notes(summary) if "differ in" in text]
    assert note.startswith("Invocations differ in Machine: ")
    for text in (markdown(summary), latex(summary)):
        assert "Invocations differ in Machine: summary.md" in text


def test_a_difference_in_only_the_command_is_not_noted(tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "run", {}, {"command": RESUMED})
    assert not any("differ in" in text for text in table_notes(summary))


def test_excluded_gpus_and_warnings_are_noted_below_the_table_once(tmp_path: Path) -> None:
    excluded = ExcludedGpus(node="node-1", devices=("GPU-1",), reason="somebody's")
    calls = {"left_out": (excluded,), "warnings": ("much of GPU-2 was held",)}
    summary = summary_of(tmp_path / "run", calls, calls)
    (note,) = [text for text in table_notes(summary) if "GPU-1" in text]
    assert "node-1" in note
    assert "GPU-1" in markdown(summary)
    assert len([text for text in table_notes(summary) if "GPU-2" in text]) == 1
    assert not any("GPU" in text for text in table_notes(summary_of(tmp_path / "another", {})))


def test_a_run_without_invocations_has_no_machine(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", change=lambda _record: None)
    folder.write_info(folder.info().model_copy(update={"invocations": ()}))
    assert {"Command", "Machine"}.isdisjoint(dict(header_facts(summarize(folder.path))))
