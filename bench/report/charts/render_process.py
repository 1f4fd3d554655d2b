"""vl-convert in a process of its own: it draws while this one reads records and counts.

Usage:
    with RenderProcess() as renderer:
        drawing = renderer.draw(figure)          # a Future[Drawing]
        picture = renderer.rasterize(drawing)        # a Future[bytes], for later
        drawing.result(), picture.result()

vl-convert takes seconds to start and holds the interpreter while it works; in a process of its
own it costs a report no more than the slower of the two.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from bench.errors import HelperError
from bench.records.atomic_write import temporary_file
from bench.report.charts.figure import Figure
from bench.report.charts.rendering import Drawing, as_png, as_svg, vega_script
from bench.subprocess_end import how_it_ended

TIMEOUT_S = 300.0
"""For one chart, which takes a second where nothing else runs."""
_CLOSING_S = 10.0

_TASKS: dict[str, Callable[..., Any]] = {
    "svg": as_svg,
    "png": as_png,
    "script": vega_script,
}


class RenderProcess:
    """Draws one thing after another; what was asked for is drawn before it closes.

    A future raises HelperError, with the reason, where the process dies or does not answer within
    ``timeout_s`` seconds.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._overdue = False

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bench.report.charts.render_process"]
        # A file and not a pipe, which nobody would empty.
        self._stderr = temporary_file()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
        )
        # One thread, so that each answer is that of the last question.
        self._pool = ThreadPoolExecutor(1)
        self.script: Future[str] = self._pool.submit(self._ask, "script")
        """Of Vega, which takes a second: made first, while records are read."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()  # first, or the pool would wait for its answer
        self._pool.shutdown(cancel_futures=kind is not None)
        try:
            # Its input ends, and it with it.
            self._process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._stderr.close()

    @property
    def pid(self) -> int:
        """Of the process that draws."""
        return self._process.pid

    def draw(self, figure: Figure) -> Future[Drawing]:
        """``figure`` as SVG."""
        return self._pool.submit(self._draw, figure)

    def rasterize(self, drawing: Future[Drawing]) -> Future[bytes]:
        """What ``draw`` gave as PNG, drawn after all that was asked for before."""
        return self._pool.submit(lambda: self._ask("png", drawing.result().svg))

    def _draw(self, figure: Figure) -> Drawing:
        return Drawing(figure, self._ask("svg", figure.spec, figure.name))

    def _ask(self, task: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watch = threading.Timer(self._timeout_s, self._give_up)
        watch.daemon = True
        watch.start()
        try:
            pickle.dump((task, arguments), self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise HelperError(
                f"the process that draws charts {self._end()}: free memory, and call again"
            ) from None
        finally:
            watch.cancel()

    def _give_up(self) -> None:
        self._overdue = True
        self._process.kill()

    def _end(self) -> str:
        """How the process ended, which has closed its side of a pipe."""
        try:
            code = self._process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._overdue:
            return f"did not answer within {self._timeout_s:g} s"
        return how_it_ended(code, self._stderr)


def _serve() -> None:
    # Whatever a library prints is not to stand among the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while True:
        try:
            task, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(_TASKS[task](*arguments), answers)
        answers.flush()


if __name__ == "__main__":
    _serve()
