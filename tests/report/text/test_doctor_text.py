"""The doctor's checks as text."""

from bench.doctor.machine_checks import Check
from bench.report.text.doctor_text import render


def test_checks_are_aligned_in_columns_with_each_remedy_below() -> None:
    checks = [
        Check("Python", "ok", "3.11.7"),
        Check("Fashion-MNIST", "missing", "nowhere", "bench data fetch"),
    ]
    assert render(checks).splitlines() == [
        "ok       Python         3.11.7",
        "missing  Fashion-MNIST  nowhere",
        "                        fix: bench data fetch",
        "",
        "1 of 2 checks failed",
    ]


def test_a_machine_without_problems_passes_all_checks() -> None:
    checks = [Check("Python", "ok", "3.11.7"), Check("Ray", "ok", "2.60.0")]
    assert render(checks).endswith("all 2 checks passed")


def test_text_from_a_driver_cannot_steer_the_terminal() -> None:
    text = render([Check("GPUs", "broken", "bad\x1b[31m\ncard", "reboot")])
    assert "bad[31m card" in text
    assert "\x1b" not in text
