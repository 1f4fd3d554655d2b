"""Describe the environment of a run in a few words: machines, software and source.

Usage:
    environment_facts(invocation.environment)     # {"Machine": "...", "Software": "...", ...}
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bench.records.metric import METRICS
from bench.records.trial_record import ExcludedGpus
from bench.report.text.number_text import number, plural, scale_of

PACKAGES = ("tensorflow", "keras", "ray", "numpy")

_Environment = Mapping[str, Any]


def environment_facts(environment: Mapping[str, _Environment]) -> dict[str, str]:
    """Return a text for each title; it is "" where the environment has no such record.

    ``environment`` maps "driver" to the driver's environment, and each node's name to the node's.
    """
    driver = environment.get("driver", {})
    nodes = [node for name, node in environment.items() if name != "driver"] or [driver]
    return {
        "Machine": _merge([_machine(node) for node in nodes]),
        "GPUs": _merge([_gpus(node) for node in nodes]),
        "Software": _merge([_software(node) for node in nodes]),
        "Source": _source(driver.get("source") or {}),
        "Variables": _merge([_variables(node) for node in nodes]),
    }


def excluded_gpus_text(excluded: ExcludedGpus) -> str:
    """Say which GPUs of a node the run does not use, and why."""
    devices = ", ".join(excluded.devices) or "all"
    return f"GPU not used: {devices} on {excluded.node}: {excluded.reason}"


def _merge(texts: list[str]) -> str:
    """Return one text if all nodes have the same, else each text with the count of its nodes."""
    counts = Counter(texts)
    if len(texts) == 1 or not any(texts):
        return texts[0]
    return "; ".join(f"{plural(count, 'node')}: {text or 'none'}" for text, count in counts.items())


def _machine(node: _Environment) -> str:
    cpu, memory = node.get("cpu") or {}, node.get("memory") or {}
    cores, usable = cpu.get("logical_cores"), cpu.get("usable_cores")
    size = memory.get("limit_bytes") or memory.get("total_bytes")
    parts = [
        cpu.get("model"),
        f"{usable} of {plural(cores, 'core')}" if usable and cores else None,
        f"{_bytes(size)} memory" if size else None,
        (node.get("os") or {}).get("name"),
        f"in {node['container']}" if node.get("container") else None,
    ]
    return ", ".join(str(part) for part in parts if part)


def _gpus(node: _Environment) -> str:
    if "gpus" not in node:
        return ""
    names = Counter(str(gpu.get("name")) for gpu in node["gpus"])
    if not names:
        return node.get("gpu_error") or "none"
    driver = (node.get("driver") or {}).get("version")
    cards = ", ".join(f"{count} × {name}" for name, count in names.items())
    return f"{cards}, driver {driver}" if driver else cards


def _software(node: _Environment) -> str:
    packages, python = node.get("packages") or {}, node.get("python") or {}
    parts = [f"{name} {packages[name]}" for name in PACKAGES if name in packages]
    return ", ".join([f"Python {python['version']}", *parts] if "version" in python else parts)


def _source(source: _Environment) -> str:
    if not source.get("commit"):
        return ""
    changes = ", with uncommitted changes" if source.get("dirty") else ""
    return f"git revision {source['commit'][:12]}{changes}"


def _variables(node: _Environment) -> str:
    return ", ".join(f"{name}={value}" for name, value in (node.get("variables") or {}).items())


def _bytes(size: float) -> str:
    scale = scale_of([size], METRICS["peak_rss_bytes"])
    return f"{number(size, 3, scale)} {scale.unit}"
