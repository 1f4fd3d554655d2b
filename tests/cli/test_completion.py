"""What a shell is offered for half a word, by the protocol by which it asks."""

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
from tests.support.sample_suites import TINY, written


def offered(command: Command, monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> list[str]:
    """The answers to bash, which asks for the last of the ``words``."""
    monkeypatch.setenv("_BENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(["bench", *map(str, words)]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    done = command()
    monkeypatch.delenv("_BENCH_COMPLETE")
    assert (done.code, done.stderr) == (0, "")
    return done.stdout.split()


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
def test_bash_is_offered_commands_options_suites_and_axes(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], answers: list[str]
) -> None:
    assert offered(command, monkeypatch, *words) == answers


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
def test_bash_which_splits_words_at_equals_signs_is_offered_the_last_part(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], answers: list[str]
) -> None:
    assert offered(command, monkeypatch, "plan", "quick", *words) == answers


def test_only_is_offered_axes_labels_and_ids_and_no_other_key_of_a_suite(
    command: Command, monkeypatch: pytest.MonkeyPatch, tiny: Path
) -> None:
    def asked(word: str) -> list[str]:
        return offered(command, monkeypatch, "plan", tiny, "--only", word)

    labelled = {**TINY, "matrix": {}, "compare": [], "variants": [{"label": "zoned (far)"}]}
    written(tiny, labelled)
    (cell,) = expand(load_suite(tiny), local_device().type)
    assert asked("bloc") == []
    assert asked("blocks=") == []
    assert asked("zo") == ["zoned\\", r"\(far\)"]
    assert asked(cell.id[:5]) == [cell.id]
    assert asked("comm") == ["communication=full", "communication=none"]
    assert offered(command, monkeypatch, "plan", "no-such-suite", "--only", "zo") == []


def test_run_folders_and_their_trials_are_offered(
    command: Command, monkeypatch: pytest.MonkeyPatch, made: Path
) -> None:
    ids = sorted(file.stem for file in (made / "trials").iterdir())
    assert offered(command, monkeypatch, "report", "m") == ["made"]
    assert offered(command, monkeypatch, "show", f"{made.parent}/") == [str(made)]
    assert offered(command, monkeypatch, "show", "made", "b001") == ids[2:]
    assert offered(command, monkeypatch, "show", "nowhere", "b") == []


def test_fish_is_told_by_the_exit_code_whether_there_is_anything(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_BENCH_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "is-args")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "bench plan qui")
    assert command().code == 0
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "bench plan zzz")
    assert command().code == 1


def test_bash_itself_completes_by_the_script_that_is_shown(tmp_path: Path) -> None:
    script = (
        "source <(bench --show-completion)\n"
        "COMP_WORDS=(bench plan quick --set norm = bn_po); COMP_CWORD=6\n"
        '_bench_completion bench; echo "${COMPREPLY[@]}"\n'
    )
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "bn_post\n"


def test_an_answer_loads_no_heavy_library() -> None:
    code = "from bench.cli import main\ntry:\n    main()\nfinally:\n    import sys\n    "
    code += "print(sorted({'tensorflow', 'ray', 'pandas', 'numpy'} & set(sys.modules)))"
    asked = {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench plan qui", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["quick", "[]"]
