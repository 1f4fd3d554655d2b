"""Time a training step with each ``jit`` on this machine's CPU, for each network.

    make perf ARGS='-k jit'

It prints rows of the table in ``bench/spec/default_jit.py`` and judges none of them. Each cell is a
separate program on synthetic images, timed after its cold start. The shortest of several epochs
counts, since other load only makes an epoch longer.
"""

import os
import time
from typing import Any, get_args

import pytest

from bench.measure.host import usable_cores
from bench.spec.default_jit import Jit
from bench.training import runtime
from tests.support.training_setup import make_program, variant_of

pytestmark = [pytest.mark.perf, pytest.mark.timeout(1800)]

IMAGES: dict[str, Any] = {
    "dataset": "synthetic",
    "shape": (28, 28, 1),
    "examples": 8192,
    "augment": "never",
}
COLOURED: dict[str, Any] = {**IMAGES, "shape": (32, 32, 3)}
MODULE = "tests.perf.perf_networks"
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {**IMAGES, "global_batch_size": 32, "max_steps": 256},
    "convnet": {
        **IMAGES,
        "workload": "convnet",
        "hidden": (100,),
        "global_batch_size": 128,
        "max_steps": 8,
    },
    "resnet50": {**COLOURED, "workload": "resnet50", "global_batch_size": 8, "max_steps": 4},
    "depthwise": {
        **IMAGES,
        "workload": f"{MODULE}:depthwise",
        "global_batch_size": 64,
        "max_steps": 8,
    },
    "attention": {
        **IMAGES,
        "workload": f"{MODULE}:attention",
        "global_batch_size": 64,
        "max_steps": 16,
    },
}
MIN_S, MIN_EPOCHS = 5.0, 3


@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_with_each_jit(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    step_s = {jit: _time_step(network, jit) for jit in get_args(Jit)}
    cells = ", ".join(f'"{jit}": {seconds:.2e}' for jit, seconds in step_s.items())
    with capsys.disabled():
        print(f'\n"{network}": {{{cells}}},')


def _time_step(network: str, jit: Jit) -> float:
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    variant = variant_of(**NETWORKS[network], jit=jit)
    runtime.configure(variant, usable_cores())
    program = make_program(variant).program
    program.cold_start()
    started, step_s = time.perf_counter(), list[float]()
    while len(step_s) < MIN_EPOCHS or time.perf_counter() - started < MIN_S:
        epoch = program.run_epoch(len(step_s))
        step_s.append(epoch.epoch_s / epoch.steps)
    return min(step_s)
