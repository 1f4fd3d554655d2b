"""The reasons that the package itself writes into records and run.json are published whole."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.records.pseudonyms import Pseudonyms
from bench.records.public_values import reason

MODULES = [
    "bench.execution.gpus.autotuning_cache",
    "bench.execution.gpus.device_lock",
    "bench.execution.gpus.gpu_code_cache",
    "bench.execution.gpus.gpu_fitness",
    "bench.execution.oom_skip",
    "bench.execution.ray_backend.blocks.block_pool",
    "bench.execution.ray_backend.blocks.block_runner",
    "bench.execution.ray_backend.blocks.dataset_store",
    "bench.execution.ray_backend.blocks.placement",
    "bench.execution.ray_backend.workers.worker_failure",
    "bench.execution.ray_backend.workers.remote_workers",
    "bench.execution.trial_environment.other_load",
    "bench.execution.trial_processes.abort_reason",
    "bench.execution.trial_processes.process_failure",
    "bench.execution.turns.arm_run",
    "bench.execution.turns.coordinator",
    "bench.execution.turns.held_arms",
    "bench.execution.turns.memory_room",
    "bench.execution.turns.process_arm",
    "bench.execution.turns.worker_records",
    "bench.measure.gpu_occupancy",
]
"""All sentences in functions of these modules are such reasons."""
_VALUE = "\0"
"""Stands for a value in a sentence: a number, or further words if it directly follows a word."""


@pytest.mark.parametrize("module", MODULES)
def test_reasons_of_the_package_are_published_whole(module: str) -> None:
    sentences = list(_sentences(module))
    assert sentences
    assert [reason(Pseudonyms(), sentence) for sentence in sentences] == sentences


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("the cache's disk is full", "the cache's disk is full"),
        ("annabel's disk is full", "… disk is full"),
        ("hidden by CUDA_VISIBLE_DEVICES='-1'", "hidden by CUDA_VISIBLE_DEVICES='-1'"),
        ("hidden by CUDA_VISIBLE_DEVICES='GPU-8f3a'", "hidden by …"),
        ("continue with --resume", "continue with --resume"),
        ("continue with --annabel", "continue with …"),
    ],
)
def test_possessives_options_and_values_are_published_if_their_words_are(
    text: str, published: str
) -> None:
    assert reason(Pseudonyms(), text) == published


def _sentences(module: str) -> Iterator[str]:
    """Yield the texts of three words or more in a module's functions, with numbers as values."""
    spec = importlib.util.find_spec(module)
    assert spec and spec.origin
    tree = ast.parse(Path(spec.origin).read_text())
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        nodes = list(ast.walk(function))
        inner = {
            id(part) for node in nodes if _is_text(node) for part in ast.iter_child_nodes(node)
        }
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if _is_text(node) and id(node) not in inner | docstrings:
                text = re.sub(rf"(?<=\w){_VALUE}", "", _filled(node)).replace(_VALUE, "7")
                text = " ".join(text.split())
                is_log = text.startswith("[")  # a log's tail is never published
                if len(text.split()) >= 3 and not is_log:
                    yield text


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _filled(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_filled, node.values))
    return str(node.value) if isinstance(node, ast.Constant) else _VALUE
