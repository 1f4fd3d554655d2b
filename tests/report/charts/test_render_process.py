"""The rendering process draws the same as this process."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.errors import HelperError
from bench.report.charts.all_figures import figures
from bench.report.charts.figure import Figure
from bench.report.charts.render_process import RenderProcess
from bench.report.charts.rendering import as_png, vega_script
from bench.report.charts.report_data import read_run
from tests.support.sample_pages import draw
from tests.support.sample_records import make_run


@pytest.mark.slow
def test_it_draws_the_same_as_this_process_and_ends_with_its_block(tmp_path: Path) -> None:
    charts = list(figures(read_run(make_run(tmp_path / "run").path)))
    with RenderProcess() as renderer:
        drawings = [renderer.draw(figure) for figure in charts]
        pngs = [renderer.rasterize(drawing) for drawing in drawings]
        pid = renderer.pid
        assert renderer.script.result() == vega_script()
    assert [drawing.result() for drawing in drawings] == [draw(figure) for figure in charts]
    assert [png.result() for png in pngs] == [as_png(drawing.result().svg) for drawing in drawings]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "was killed by SIGKILL"), (signal.SIGSTOP, "did not answer within 2 s")],
)
def test_a_process_that_dies_or_hangs_is_an_error_with_its_reason(
    number: signal.Signals, reason: str
) -> None:
    with RenderProcess(timeout_s=2) as renderer:
        os.kill(renderer.pid, number)
        with pytest.raises(HelperError, match=reason):
            renderer.script.result()
    with pytest.raises(ProcessLookupError):
        os.kill(renderer.pid, 0)


def test_if_it_fails_its_last_message_is_the_reason() -> None:
    invalid = SimpleNamespace(to_dict=lambda: {"mark": 0})
    figure = Figure("invalid", "invalid", "invalid", cast("Any", invalid), (), ())
    with RenderProcess() as renderer, pytest.raises(HelperError, match=r"exited with code 1: \w+"):
        renderer.draw(figure).result()


def test_it_ends_if_its_block_raises() -> None:
    with pytest.raises(KeyError), RenderProcess() as renderer:
        pid = renderer.pid
        raise KeyError
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
