"""Commands on damaged run folders: success, or exit code 5 and one line that names the file.

BENCH_FUZZ=5000 python -m pytest tests/cli/test_damaged_folders.py      # more cases
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
from bench.cli.entry_point import exit_code
from bench.errors import BenchError
from bench.records.trial_record import TrialRecord
from bench.report.charts.rendering import Drawing
from bench.report.publishing.publish import publish
from tests.support.corruption import Damage, damages
from tests.support.sample_records import ENVIRONMENT, looked_at, make_run
from tests.support.sample_suites import write_suite

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


class FakeRenderProcess:
    """Replaces vl-convert, which would take most of the time."""

    script: Future[str]

    def __enter__(self) -> Self:
        self.script = _finished("")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def draw(self, figure: Any) -> Future[Drawing]:
        return _finished(Drawing(figure, "<svg></svg>"))

    def rasterize(self, _drawing: object) -> Future[bytes]:
        return _finished(b"")


def _finished(value: Any) -> Future[Any]:
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
def undamaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, the same run published, and its suite's file."""
    root = tmp_path_factory.mktemp("undamaged")
    make_run(root / "run", SUITE, change=as_trained, environment=NODES, invocations=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.report.publishing.publish.RenderProcess", FakeRenderProcess)
        publish(root / "run", "published", root)
    write_suite(root / "norms.toml", SUITE)
    return root


@pytest.fixture(scope="module")
def without_charts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (
            "bench.report.publishing.publish.RenderProcess",
            "bench.report.full_report.RenderProcess",
        ):
            patch.setattr(module, FakeRenderProcess)
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


def apply_damage(undamaged: Path, damage_list: list[Damage], folder: str) -> Path:
    root = undamaged.parent / "damaged"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(undamaged, root)
    for damage in damage_list:
        damage.apply(root / folder)
    return root


_FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize="BENCH_FUZZ" not in os.environ,
    phases=[Phase.generate],  # shrinking a failure would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.slow
@_FUZZ
@given(st.lists(damages(), min_size=1, max_size=2), st.sampled_from(sorted(COMMANDS)))
@pytest.mark.usefixtures("without_charts")
def test_a_command_succeeds_or_names_what_is_wrong(
    undamaged: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage_list: list[Damage],
    name: str,
) -> None:
    words = COMMANDS[name]
    folder = "published" if "published" in words else "run"
    with monkeypatch.context() as patch:
        patch.chdir(apply_damage(undamaged, damage_list, folder))
        patch.setattr(sys, "argv", ["bench", *words])
        capsys.readouterr()
        code = exit_code(words)
    message = capsys.readouterr().err
    # Damage may turn the suite into a different one.
    assert code in ((0, 2, 5) if name == "resume" else (0, 5)), message
    assert "unexpected" not in message
    assert "Traceback" not in message
    if code and name != "resume":
        assert all(line.startswith(f"bench: {folder}") for line in message.splitlines()), message
        assert len(message.splitlines()) == 1 or name == "verify", message


@_FUZZ
@given(st.lists(damages(), min_size=1, max_size=2), st.sampled_from(LOADERS))
def test_a_frame_is_read_or_a_bench_error_is_raised(
    undamaged: Path, damage_list: list[Damage], load: Any
) -> None:
    run = apply_damage(undamaged, damage_list, "run") / "run"
    try:
        load(run)
    except BenchError as error:
        assert error.exit_code == 5
        assert str(error).startswith(str(run))
