"""Completions for a shell, through the protocol by which it requests them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.execution.gpus.device_kind import local_device
from bench.spec.expand import expand
from bench.spec.suite import load_suite, shipped_suites
from tests.cli.conftest import Command
from tests.support.processes import COMMAND
from tests.support.sample_suites import TINY, write_suite


def completions(command: Command, monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> list[str]:
    """Return the completions for bash of the last of ``words``."""
    monkeypatch.setenv("_BENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(["bench", *map(str, words)]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    result = command()
    monkeypatch.delenv("_BENCH_COMPLETE")
    assert (result.code, result.stderr) == (0, "")
    return result.stdout.split()


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["pl"], ["plan"]),
        (["data", ""], ["fetch", "verify"]),
        (["plan", "qu"], ["quick"]),
        (["run", ""], shipped_suites()),
        (["suites", "bn-o"], ["bn-overhead", "bn-overhead-gpu"]),
        (["copy-suite", "smo"], ["smoke"]),
        (["plan", "quick", "--bl"], ["--blocks"]),
        (["run", "quick", "--device", "g"], ["gpu"]),
        (["run", "quick", "--set", "learn"], ["learning_rate="]),
        (["run", "quick", "--set", "warmup_"], ["warmup_epochs=", "warmup_s="]),
        (["run", "quick", "--set", "comm"], ["communication=full", "communication=none"]),
        (["run", "quick", "--set", "zz"], []),
        (["plan", "nothing-like-it"], []),
    ],
)
def test_bash_completes_commands_options_suites_and_axes(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], answers: list[str]
) -> None:
    assert completions(command, monkeypatch, *words) == answers


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["--set", "norm", "=", "b"], ["bn_post", "bn_pre"]),
        (["--set", "clip", "="], ["none", "value", "norm", "global_norm"]),
        (["--set", "norm", "=", "none,l"], ["none,layer"]),
        (["--set", "=", "norm", "=", "g"], ["group"]),
        (["--only", "norm", "=", "g"], ["group"]),
        (["--blocks", "=", "3", "--set", "norm", "=", "g"], ["group"]),
    ],
)
def test_bash_splits_words_at_equals_signs_and_gets_the_last_part(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], answers: list[str]
) -> None:
    assert completions(command, monkeypatch, "plan", "quick", *words) == answers


def test_only_completes_axes_labels_and_ids_but_no_other_key_of_a_suite(
    command: Command, monkeypatch: pytest.MonkeyPatch, tiny: Path
) -> None:
    def complete(word: str) -> list[str]:
        return completions(command, monkeypatch, "plan", tiny, "--only", word)

    labelled = {**TINY, "matrix": {}, "compare": [], "variants": [{"label": "zoned (far)"}]}
    write_suite(tiny, labelled)
    (cell,) = expand(load_suite(tiny), local_device().type)
    assert complete("bloc") == []
    assert complete("blocks=") == []
    assert complete("zo") == ["zoned\\", r"\(far\)"]
    assert complete(cell.id[:5]) == [cell.id]
    assert complete("comm") == ["communication=full", "communication=none"]
    assert completions(command, monkeypatch, "plan", "no-such-suite", "--only", "zo") == []


def test_run_folders_and_their_trials_are_completed(
    command: Command, monkeypatch: pytest.MonkeyPatch, finished_run: Path
) -> None:
    ids = sorted(file.stem for file in (finished_run / "trials").iterdir())
    assert completions(command, monkeypatch, "report", "m") == ["made"]
    assert completions(command, monkeypatch, "show", f"{finished_run.parent}/") == [
        str(finished_run)
    ]
    assert completions(command, monkeypatch, "show", "made", "b001") == ids[2:]
    assert completions(command, monkeypatch, "show", "nowhere", "b") == []


def test_fish_learns_from_the_exit_code_whether_there_are_completions(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_BENCH_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "is-args")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "bench plan qui")
    assert command().code == 0
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "bench plan zzz")
    assert command().code == 1


def test_bash_completes_with_the_script_of_show_completion(tmp_path: Path) -> None:
    script = (
        "source <(bench --show-completion)\n"
        "COMP_WORDS=(bench plan quick --set norm = bn_po); COMP_CWORD=6\n"
        '_bench_completion bench; echo "${COMPREPLY[@]}"\n'
    )
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "bn_post\n"


def test_a_completion_loads_no_heavy_library() -> None:
    code = "from bench.cli import main\ntry:\n    main()\nfinally:\n    import sys\n    "
    code += "print(sorted({'tensorflow', 'ray', 'pandas', 'numpy'} & set(sys.modules)))"
    environment = {
        "_BENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": "bench plan qui",
        "COMP_CWORD": "2",
    }
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines() == ["quick", "[]"]
