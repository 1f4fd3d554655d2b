"""Exceptions that decide the status of a trial; ``bench.training.failures`` classifies all others.

Usage:
    raise UnsupportedProgram("NCCL sums only on GPUs, and there are none")
"""


class UnsupportedProgram(Exception):  # noqa: N818 (it is an answer, not an error)
    """TensorFlow refused the program; the message is its reason."""


class WorkloadError(Exception):
    """A user's workload cannot be imported, or breaks its contract."""
