"""A process of its own draws what this one would."""

import os
from pathlib import Path

import pytest

from bench.report.charts.drawer import Drawer
from bench.report.charts.figures import figures
from bench.report.charts.render import as_png, draw, vega_script
from bench.report.charts.reported import read_run
from tests.records_made import made_run


def test_it_draws_what_this_process_would_and_ends_with_its_block(tmp_path: Path) -> None:
    found = list(figures(read_run(made_run(tmp_path / "run").path)))
    with Drawer() as drawer:
        drawings = [drawer.draw(figure) for figure in found]
        pictures = [drawer.paint(drawing) for drawing in drawings]
        pid = drawer.pid
        assert drawer.script.result() == vega_script()
    assert [drawing.result() for drawing in drawings] == [draw(figure) for figure in found]
    assert [picture.result() for picture in pictures] == [
        as_png(drawing.result().svg) for drawing in drawings
    ]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_ends_where_its_block_fails_and_draws_nothing_more() -> None:
    with pytest.raises(KeyError), Drawer() as drawer:
        pid = drawer.pid
        raise KeyError
    assert drawer.script.exception() is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
