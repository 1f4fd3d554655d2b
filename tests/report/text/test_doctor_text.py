"""How the doctor's findings are written."""

from bench.doctor.machine_checks import Check
from bench.report.text.doctor_text import render


def test_findings_stand_in_columns_with_each_remedy_below() -> None:
    checks = [
        Check("Python", "ok", "3.11.7"),
        Check("Fashion-MNIST", "missing", "nowhere", "bench data fetch"),
    ]
    assert render(checks).splitlines() == [
        "ok       Python         3.11.7",
        "missing  Fashion-MNIST  nowhere",
        "                        mend: bench data fetch",
        "",
        "1 of 2 to mend",
    ]


def test_a_sound_machine_is_said_to_be_one() -> None:
    checks = [Check("Python", "ok", "3.11.7")]
    assert render(checks).endswith("all 1 are as they should be")


def test_what_a_driver_says_cannot_steer_the_terminal() -> None:
    text = render([Check("GPUs", "broken", "bad\x1b[31m\ncard", "reboot")])
    assert "bad[31m card" in text
    assert "\x1b" not in text
