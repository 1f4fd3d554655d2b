"""Measure on your own cluster what a training technique costs and what it buys.

    suite = bench.load_suite("quick")
    result = bench.run(suite)
    trials = bench.load_trials(result.path)     # one row per trial
    epochs = bench.load_epochs(result.path)     # one row per epoch
    health = bench.load_health(result.path)     # one row per health measurement and layer
    files = result.report()                     # tables, charts and a page

Each name is imported at its first use: ``import bench`` loads neither TensorFlow nor Ray nor
pandas.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.analysis.loading.data_frames import load_attempts, load_epochs, load_trials
    from bench.analysis.questions.layer_health_frame import load_health
    from bench.api import RunResult, run
    from bench.errors import BenchError
    from bench.spec.suite import Suite, load_suite

__all__ = [
    "BenchError",
    "RunResult",
    "Suite",
    "load_attempts",
    "load_epochs",
    "load_health",
    "load_suite",
    "load_trials",
    "run",
]

_MODULES = {
    "BenchError": "bench.errors",
    "RunResult": "bench.api",
    "Suite": "bench.spec.suite",
    "load_attempts": "bench.analysis.loading.data_frames",
    "load_epochs": "bench.analysis.loading.data_frames",
    "load_health": "bench.analysis.questions.layer_health_frame",
    "load_suite": "bench.spec.suite",
    "load_trials": "bench.analysis.loading.data_frames",
    "run": "bench.api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
