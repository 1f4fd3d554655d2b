"""Whatever a run folder holds: an answer, or one line that names the file, and exit code 5.

BENCH_FUZZ=5000 python -m pytest tests/cli/test_damaged_folders.py      # tries more
"""

import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import bench
from bench.analysis.questions.layer_health_frame import load_health
from bench.cli.exit import exit_code
from bench.errors import BenchError
from bench.records.trial_record import TrialRecord
from bench.report.charts.rendering import Drawing
from bench.report.publishing.publish import publish
from tests.support.corruption import Damage, damages
from tests.support.sample_records import ENVIRONMENT, looked_at, made_run
from tests.support.sample_suites import written

EXAMPLES = int(os.environ.get("BENCH_FUZZ", "25"))
SUITE: dict[str, Any] = {
    "name": "norms",
    "blocks": 2,
    "variant": {"epochs": 3, "health_epochs": [0, 3], "target_accuracy": 0.8},
    "matrix": {"norm": ["none", "bn_post"], "max_steps": [50, 1718]},
    "compare": [{"axis": "norm", "baseline": "none"}],
}
GPU = {"name": "GPU 1", "uuid": "GPU-1", "compute_capability": "9.0", "instances": []}
NODES = {**ENVIRONMENT, "node-1": {**ENVIRONMENT["driver"], "gpus": [GPU]}}


class NoDrawer:
    """In the place of vl-convert, which would take most of the time."""

    script: Future[str]

    def __enter__(self) -> Self:
        self.script = _known("")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def draw(self, figure: Any) -> Future[Drawing]:
        return _known(Drawing(figure, "<svg></svg>"))

    def paint(self, _drawing: object) -> Future[bytes]:
        return _known(b"")


def _known(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def as_trained(record: TrialRecord) -> TrialRecord:
    windows = {"window_s": (0.01,) * 6, "skipped_steps": 1}
    epochs = tuple(e.model_copy(update=windows) for e in record.epochs)
    resolved = {**record.resolved, "window_steps": 10, "config": {"momentum": 0.9}}
    record = record.model_copy(update={"epochs": epochs, "resolved": resolved})
    if record.trial.order == 1:
        return record.model_copy(update={"status": "out_of_memory", "error": "no memory"})
    return looked_at(record)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, and the same published, and its suite's file."""
    place = tmp_path_factory.mktemp("sound")
    made_run(place / "run", SUITE, change=as_trained, environment=NODES, invocations=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.report.publishing.publish.Drawer", NoDrawer)
        publish(place / "run", "published", place)
    written(place / "norms.toml", SUITE)
    return place


@pytest.fixture(scope="module")
def undrawn() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (
            "bench.report.publishing.publish.Drawer",
            "bench.report.charts.render_process.RenderProcess",
        ):
            patch.setattr(module, NoDrawer)
        yield


COMMANDS = {
    "report": ("report", "run"),
    "show": ("show", "run", "b0"),
    "publish": ("publish", "run", "again", "--into", "."),
    "verify": ("verify-published", "published"),
    "republish": ("publish", "published", "again", "--into", "."),
    "resume": ("run", "norms.toml", "--out", "run", "--resume", "--executor", "simulated"),
}
LOADERS = (bench.load_trials, bench.load_attempts, bench.load_epochs, load_health)


def damaged(sound: Path, found: list[Damage], folder: str) -> Path:
    place = sound.parent / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(sound, place)
    for damage in found:
        damage.apply(place / folder)
    return place


_FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize="BENCH_FUZZ" not in os.environ,
    phases=[Phase.generate],  # to shrink what was found would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.slow
@_FUZZ
@given(st.lists(damages(), min_size=1, max_size=2), st.sampled_from(sorted(COMMANDS)))
@pytest.mark.usefixtures("undrawn")
def test_a_command_gives_its_answer_or_names_what_is_wrong(
    sound: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    found: list[Damage],
    name: str,
) -> None:
    words = COMMANDS[name]
    folder = "published" if "published" in words else "run"
    with monkeypatch.context() as patch:
        patch.chdir(damaged(sound, found, folder))
        patch.setattr(sys, "argv", ["bench", *words])
        capsys.readouterr()
        code = exit_code(words)
    said = capsys.readouterr().err
    # A suite that was damaged into another one is a suite that differs.
    assert code in ((0, 2, 5) if name == "resume" else (0, 5)), said
    assert "unexpected" not in said
    assert "Traceback" not in said
    if code and name != "resume":
        assert all(line.startswith(f"bench: {folder}") for line in said.splitlines()), said
        assert len(said.splitlines()) == 1 or name == "verify", said


@_FUZZ
@given(st.lists(damages(), min_size=1, max_size=2), st.sampled_from(LOADERS))
def test_a_frame_is_read_or_the_error_is_one_of_ours(
    sound: Path, found: list[Damage], load: Any
) -> None:
    run = damaged(sound, found, "run") / "run"
    try:
        load(run)
    except BenchError as error:
        assert error.exit_code == 5
        assert str(error).startswith(str(run))
