"""A real process of the command: exit codes, streams, pipes, signals, terminals."""

import errno
import os
import pty
import pwd
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bench as bench_module
from bench.cli.entry_point import exit_code
from tests.support.processes import COMMAND, bench
from tests.support.sample_suites import TINY, write_suite

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_suite(tmp_path / "tiny.toml", TINY)


def shell(line: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run a line of bash, which fails if any part of a pipe fails, with our "bench"."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("bench ", f"{COMMAND} ")],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
        check=False,
    )


def test_a_full_disk_is_reported_to_a_user_without_a_home(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("bench.cli.entry_point.app", full)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert exit_code(["list"]) == 5
    assert os.strerror(errno.ENOSPC) in capsys.readouterr().err


def test_a_finished_command_exits_0_and_is_silent_on_stderr(tiny: Path) -> None:
    result = bench("plan", tiny)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


def test_a_refused_command_exits_2_with_one_line_on_stderr_and_nothing_on_stdout() -> None:
    result = bench("plan", "nowhere.toml")
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("bench: no suite 'nowhere.toml'")


@pytest.mark.parametrize(
    "words", [("--debug", "plan", "nowhere.toml"), ("plan", "nowhere.toml", "--debug")]
)
def test_debug_shows_the_traceback_and_the_line_after_it(words: tuple[str, ...]) -> None:
    result = bench(*words)
    assert result.returncode == 2
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert result.stderr.splitlines()[-1].startswith("bench: no suite 'nowhere.toml'")


def suites_listed_by(broken: str) -> subprocess.CompletedProcess[str]:
    """Run ``bench suites`` with a function in place of the one that finds the suites."""
    script = (
        f"import bench.spec.suite, bench.cli.entry_point\n{broken}\n"
        "bench.spec.suite.shipped_suites = broken\nbench.cli.entry_point.main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script, "suites"], capture_output=True, text=True, check=False
    )


def test_an_unexpected_error_is_one_line_too_with_exit_code_5() -> None:
    result = suites_listed_by("def broken(): 1 / 0")
    assert result.returncode == 5
    assert result.stderr == (
        "bench: unexpected ZeroDivisionError: division by zero: "
        "re-run with --debug and report the traceback\n"
    )


def test_an_error_of_the_system_names_the_file(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    result = shell(f"HOME={place} bench --install-completion; exit $?", tmp_path)
    assert result.returncode == 5
    assert result.stderr.startswith(f"bench: {place}")


@pytest.mark.parametrize(
    "line",
    [
        "bench plan tiny.toml | head -1",
        "bench plan tiny.toml --json --blocks 9000 | head -1",
        "bench run tiny.toml --executor simulated | head -1",
    ],
)
def test_a_reader_that_stops_early_is_no_error(tiny: Path, line: str) -> None:
    result = shell(line, tiny.parent)
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 1
    assert "Broken" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_continues_when_its_progress_loses_its_reader(tiny: Path) -> None:
    shell("bench run tiny.toml --executor simulated --out made 2>&1 >/dev/null | true", tiny.parent)
    assert len(list((tiny.parent / "made" / "trials").iterdir())) == 4


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_to_a_full_disk_is_an_error_of_one_line(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    result = shell("bench plan tiny.toml > /dev/full", tiny.parent)
    assert result.returncode == 5
    (line,) = result.stderr.splitlines()
    assert line.startswith("bench: /dev/full: No space left on device: free space on the disk at /")


def _is_intact(run: Path) -> bool:
    """Return whether every record of the tiny suite can be read."""
    return list(bench_module.load_trials(run)["status"]) == ["completed"] * 4


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_no_run_and_no_output_goes_into_a_file(tiny: Path, closed: str) -> None:
    result = shell(f"bench run tiny.toml --executor simulated --out made {closed}", tiny.parent)
    assert result.returncode == 0, result.stderr
    assert _is_intact(tiny.parent / "made")


@pytest.mark.parametrize("gone", ["<&- >&- 2>&-", "| true", "</dev/null 1</dev/null"])
def test_a_command_without_a_reader_exits_with_its_own_code(tiny: Path, gone: str) -> None:
    # It prints its table before it fails. PIPESTATUS, because "true" exits with 0.
    script = (
        "import bench.cli.entry_point, bench.report.text.listings\n"
        "from bench.errors import DataError\n"
        "def printed(*_):\n    print('x' * 100_000, flush=True)\n    raise DataError\n"
        "bench.report.text.listings.plan_text = printed\nbench.cli.entry_point.main()\n"
    )
    (tiny.parent / "fails.py").write_text(script)
    line = f"{sys.executable} fails.py plan tiny.toml {gone}; exit ${{PIPESTATUS[0]}}"
    assert shell(line, tiny.parent).returncode == 5


def test_a_broken_pipe_other_than_stdout_is_an_error() -> None:
    result = suites_listed_by("def broken(): raise BrokenPipeError(32, 'Broken pipe')")
    assert result.returncode == 5
    assert len(result.stderr.splitlines()) == 1


def test_without_a_terminal_there_are_no_control_characters(tiny: Path) -> None:
    result = bench("run", tiny, "--executor", "simulated", "--out", tiny.parent / "made")
    assert result.returncode == 0
    assert not CONTROL.search(result.stdout)
    assert not CONTROL.search(result.stderr)


def test_characters_that_the_terminal_lacks_are_no_error(tiny: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    out = tiny.parent / "made"
    result = bench("run", tiny, "--executor", "simulated", "--out", out, env=ascii_only)
    assert (result.returncode, result.stdout.isascii()) == (0, True)


_SLOW = r"""
import os, signal, sys, time
import bench.report.text.listings
from bench.cli.entry_point import main
def slowly(*_):
    # Unbuffered: a signal in the midst of a flush would have the buffer written twice.
    os.write(2, b"ready\n")
    time.sleep(60)
bench.report.text.listings.plan_text = slowly
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_with_exit_code_130(tiny: Path, number: signal.Signals) -> None:
    # The tests themselves may run with the signal ignored, as under nohup.
    heed = f"--default-signal={number.name[3:]}"
    slow = ["env", heed, sys.executable, "-c", _SLOW, "plan", str(tiny)]
    with subprocess.Popen(slow, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(number)
        assert process.stderr.read() == ""
        assert process.wait(20) == 130


def test_under_nohup_the_end_of_the_terminal_is_ignored(tiny: Path) -> None:
    slow = ["nohup", sys.executable, "-c", _SLOW, "plan", str(tiny)]
    with subprocess.Popen(
        slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while process.stderr.readline() != "ready\n":
            pass
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130


def on_a_terminal(words: list[str], cwd: Path) -> tuple[int, str]:
    """Run on a pseudo-terminal of 100 columns; return the exit code and the output."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(COMMAND, [COMMAND, *words], {**os.environ, "TERM": "xterm", "COLUMNS": "100"})
    output = b""
    while True:
        select.select([terminal], [], [], 60)
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # on Linux: the other side is closed
            break
        if not chunk:
            break
        output += chunk
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output.decode()


def test_on_a_terminal_progress_is_live_and_the_cursor_comes_back(tiny: Path) -> None:
    code, screen = on_a_terminal(["run", "tiny.toml", "--executor", "simulated"], tiny.parent)
    assert code == 0
    assert "done" in screen
    assert "left" in screen
    assert "[4/4]" in screen
    assert screen.count("\x1b[?25l") == screen.count("\x1b[?25h") > 0
    assert screen.rindex("\x1b[?25h") < screen.index("Run folder: results/runs/tiny-")


def test_on_a_terminal_an_error_is_one_plain_line(tmp_path: Path) -> None:
    code, screen = on_a_terminal(["plan", "nowhere.toml"], tmp_path)
    assert code == 2
    assert screen.startswith("bench: no suite 'nowhere.toml'")
    assert "\x1b" not in screen
    assert len(screen.splitlines()) == 1
