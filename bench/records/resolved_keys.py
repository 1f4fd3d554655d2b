"""Keys of a record's ``resolved`` that say what happened, or where: they are not settings.

Usage:
    any(fnmatch.fnmatchcase(key, pattern) for pattern in COUNTERS)
"""

PER_PROCESS: frozenset[str] = frozenset({"pid", "tracing_count"})
"""Keys that differ from process to process."""

COUNTERS: tuple[str, ...] = (
    *sorted(PER_PROCESS),
    "*_count",
    *("visible_gpus", "variables.CUDA_VISIBLE_DEVICES", "variables.CUDA_CACHE_PATH"),
    "allotted.*gpus",
    "optimizer_config.name",  # Keras counts: the second SGD of a process is "sgd_1"
)
"""Shell patterns, in which a dot leads into a nested table."""
