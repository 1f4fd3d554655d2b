"""A process that ends on its flags for XLA says which variable has them."""

import pytest

from bench.execution.subprocess_probe import probe_in_subprocess
from bench.execution.trial_environment.xla_flags import refused_flags

UNKNOWN = "F0000 00:00:1 9 parse_flags_from_env.cc:234] Unknown flag in XLA_FLAGS: --no=1"
NO_FILE = (
    'F0000 00:00:1 9 parse_flags_from_env.cc:171] Could not open file "xyz" to read flags for '
    'environment variable "TF_XLA_FLAGS". (We assumed "xyz" was a file name)'
)
FAILED = "F0000 00:00:1 9 parse_flags_from_env.cc:220] Check failed: Flag parsing failed.\n"
MISREAD = "E0000 00:00:1 9 command_line_flags.cc:93] Couldn't interpret value x for flag {}.\n"


@pytest.mark.parametrize(
    ("log", "variable"),
    [
        (UNKNOWN, "XLA_FLAGS"),
        (NO_FILE, "TF_XLA_FLAGS"),
        (MISREAD.format("xla_cpu_enable_fast_math") + FAILED, "XLA_FLAGS"),
        (MISREAD.format("tf_xla_min_cluster_size") + FAILED, "TF_XLA_FLAGS"),
        (FAILED + "usage: --tf_xla_auto_jit=x", "TF_XLA_FLAGS"),
    ],
)
def test_the_variable_is_named(log: str, variable: str) -> None:
    assert (refused_flags(f"before\n{log}\nafter") or "").startswith(f"{variable} ")


@pytest.mark.parametrize("log", ["", "F0000 00:00:1 9 xla.cc:12] Check failed: replicas == 1"])
def test_other_logs_report_no_refused_flags(log: str) -> None:
    assert refused_flags(log) is None


@pytest.mark.slow
def test_the_real_parser_s_messages_are_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=maybe")
    with probe_in_subprocess("bench.training.tensorflow_probe") as answer:
        reply = answer()
    assert reply["refused_flags"]
    assert reply["error"].startswith("XLA_FLAGS ")
    assert "xla_cpu_enable_fast_math" in reply["error"]
