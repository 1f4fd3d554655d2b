"""Table of the faults of a run: how each ends, what the user sees, and which test shows it.

Usage:
    expected = FAULTS["raylet killed"]           # in a test
    python -m tests.support.fault_table          # prints the table of docs/execution.md
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    what: str
    status: str | None
    """Status of the trial that was running; None if it has no record."""
    code: int | None
    """The exit code; None if the process was killed."""
    line: str
    """Words of the last line on stderr; empty if there is no message."""
    test: str

    @property
    def row(self) -> str:
        """Return the row in Markdown."""
        status = f"`{self.status}`" if self.status else "no record"
        code = "none" if self.code is None else str(self.code)
        file, _, name = self.test.partition("::")
        return f"| {self.what} | {status} | {code} | {self.line or '-'} | `{name}` in {file} |"


_ON_RAY, _ENDS = "tests/cli/test_run_on_ray.py::", "tests/cli/test_process_exits.py::"
_LOST = f"{_ENDS}test_a_ray_process_that_dies_or_freezes_ends_the_run_with_its_records"

FAULTS = {
    "Ctrl-C": Fault(
        "Ctrl-C",
        "interrupted",
        130,
        "resume with bench run ... --resume",
        f"{_ON_RAY}test_ctrl_c_keeps_finished_trials_and_the_run_can_be_resumed",
    ),
    "signal to all": Fault(
        "SIGTERM or SIGHUP to all processes of the job",
        "interrupted",
        130,
        "resume with bench run ... --resume",
        f"{_ON_RAY}test_a_signal_to_all_of_a_job_ends_it_as_ctrl_c_does",
    ),
    "signal at the start": Fault(
        "SIGTERM or Ctrl-C while Ray starts, or while its start hangs",
        None,
        130,
        "interrupted",
        f"{_ENDS}test_a_signal_ends_the_run_while_ray_starts",
    ),
    "start hangs": Fault(
        "Ray's start hangs",
        None,
        2,
        "Ray does not start on this machine",
        "tests/execution/ray_backend/local/test_local_ray.py::"
        "test_a_start_that_hangs_is_given_up_and_leaves_no_process_and_no_folder",
    ),
    "driver killed": Fault(
        "the run's own process is killed (`kill -9`); all of Ray's processes end within 10 s",
        None,
        None,
        "",
        f"{_ON_RAY}test_a_killed_driver_ends_its_workers_and_the_run_can_be_resumed",
    ),
    "worker killed": Fault(
        "a training process is killed more often than `--retries` allows",
        "worker_lost",
        5,
        "--resume",
        f"{_ON_RAY}test_a_killed_training_process_without_retries_fails_the_run_until_it_is_resumed",
    ),
    "raylet killed": Fault("Ray's raylet is killed", "worker_lost", 5, "--resume", _LOST),
    "agent killed": Fault(
        "one of Ray's agents is killed, and its raylet with it",
        "worker_lost",
        5,
        "--resume",
        _LOST,
    ),
    "head frozen": Fault(
        "Ray's head (GCS) is stopped or killed", "worker_lost", 5, "--resume", _LOST
    ),
    "raylet frozen": Fault(
        "a signal while Ray's raylet is stopped",
        "interrupted",
        130,
        "resume with bench run ... --resume",
        f"{_ENDS}test_a_signal_ends_the_run_while_a_raylet_is_stopped",
    ),
    "raylet silent": Fault(
        "Ray's raylet is stopped and no signal comes; the run ends within two minutes",
        "worker_lost",
        5,
        "--resume",
        "tests/execution/ray_backend/process/test_ray_process.py::"
        "test_a_raylet_that_stops_ends_the_run_with_its_records_without_a_signal",
    ),
    "process frozen": Fault(
        "the run's process for Ray is stopped and no signal comes; the run ends after two minutes",
        "worker_lost",
        5,
        "--resume",
        "tests/execution/ray_backend/process/test_ray_process.py::"
        "test_a_process_that_freezes_is_given_up_with_its_records",
    ),
    "library": Fault(
        "Ray's library exits or crashes its process",
        "worker_lost",
        5,
        "--resume",
        "tests/execution/ray_backend/process/test_ray_process.py::"
        "test_a_process_that_dies_loses_what_ran_but_no_finished_epoch",
    ),
    "library hangs": Fault(
        "a signal while a call to Ray blocks",
        "interrupted",
        130,
        "resume with bench run ... --resume",
        "tests/execution/ray_backend/process/test_ray_process.py::"
        "test_an_interrupt_ends_the_run_however_the_process_reacts",
    ),
    "holder killed": Fault(
        "the actor that holds a block's devices is killed, and its trials with it",
        "worker_lost",
        5,
        "--resume",
        "tests/execution/ray_backend/test_ray_executor.py::"
        "test_a_killed_holder_ends_its_trials_and_loses_no_epoch",
    ),
    "over time": Fault(
        "a trial exceeds its time limit",
        "timed_out",
        5,
        "--resume",
        "tests/execution/ray_backend/test_ray_executor.py::"
        "test_a_trial_that_exceeds_its_time_is_ended_and_keeps_its_epochs",
    ),
    "no progress": Fault(
        "a trial makes no progress",
        "timed_out",
        5,
        "--resume",
        "tests/execution/ray_backend/test_ray_executor.py::"
        "test_a_trial_that_makes_no_progress_is_ended_and_keeps_its_epochs",
    ),
    "disk full": Fault(
        "the disk is full; the record that did not fit is kept elsewhere",
        None,
        5,
        "No space left on device ... free space",
        "tests/execution/test_runner_interruptions.py::test_a_disk_that_fills_during_a_run_loses_no_record",
    ),
    "data damaged": Fault(
        "data is missing or damaged",
        None,
        5,
        "name it in BENCH_DATA_DIR",
        f"{_ON_RAY}test_damaged_data_stops_a_resumed_run_and_costs_no_record",
    ),
}

_HEAD = (
    "| Fault | Status of the running trial | Exit code | Words of the last line | Test |\n"
    "|---|---|---|---|---|"
)


def table() -> str:
    """Return the whole table in Markdown."""
    return "\n".join([_HEAD, *(fault.row for fault in FAULTS.values())])


if __name__ == "__main__":
    print(table())
