"""Run vl-convert in a separate process that draws while this one reads and analyses records.

Usage:
    with RenderProcess() as renderer:
        drawing = renderer.draw(figure)          # a Future[Drawing]
        png = renderer.rasterize(drawing)        # a Future[bytes]
        drawing.result(), png.result()

vl-convert takes seconds to start and holds the interpreter's lock while it works. In a separate
process, a report takes only as long as the slower of drawing and analysis.
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
from bench.process_exit import describe_exit
from bench.records.atomic_write import temporary_file
from bench.report.charts.figure import Figure
from bench.report.charts.rendering import Drawing, as_png, as_svg, vega_script

TIMEOUT_S = 300.0
"""Time limit for one chart, which takes about a second on an idle machine."""
_CLOSING_S = 10.0

_TASKS: dict[str, Callable[..., Any]] = {
    "svg": as_svg,
    "png": as_png,
    "script": vega_script,
}


class RenderProcess:
    """Draws figures in the order of the calls; closing waits for pending figures.

    A future raises HelperError, with the reason, if the process dies or does not answer within
    ``timeout_s`` seconds.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._timed_out = False

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bench.report.charts.render_process"]
        # A file, because nothing would read a pipe.
        self._stderr = temporary_file()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
        )
        # One thread, so that each answer belongs to the last request.
        self._pool = ThreadPoolExecutor(1)
        self.script: Future[str] = self._pool.submit(self._request, "script")
        """Vega's script. It takes a second, so it is made first, while records are read."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()  # first, otherwise the pool would wait for its answer
        self._pool.shutdown(cancel_futures=kind is not None)
        try:
            # The process exits when its input ends.
            self._process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._stderr.close()

    @property
    def pid(self) -> int:
        """The id of the rendering process."""
        return self._process.pid

    def draw(self, figure: Figure) -> Future[Drawing]:
        """Draw ``figure`` as SVG."""
        return self._pool.submit(self._draw, figure)

    def rasterize(self, drawing: Future[Drawing]) -> Future[bytes]:
        """Convert a drawing to PNG, after all earlier requests."""
        return self._pool.submit(lambda: self._request("png", drawing.result().svg))

    def _draw(self, figure: Figure) -> Drawing:
        return Drawing(figure, self._request("svg", figure.spec, figure.name))

    def _request(self, task: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(self._timeout_s, self._time_out)
        timer.daemon = True
        timer.start()
        try:
            pickle.dump((task, arguments), self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise HelperError(
                f"the process that draws charts {self._exit_reason()}: free memory and try again"
            ) from None
        finally:
            timer.cancel()

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _exit_reason(self) -> str:
        """Wait for the process, which has closed its pipe, and describe how it ended."""
        try:
            code = self._process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._timed_out:
            return f"did not answer within {self._timeout_s:g} s"
        return describe_exit(code, self._stderr)


def _serve() -> None:
    # Send what libraries print to stderr, so that it does not mix with the answers.
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
