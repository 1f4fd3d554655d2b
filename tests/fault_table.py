"""What ends how: the faults of a run, what its user sees of each, and the test that shows it.

Usage:
    fault = FAULTS["raylet killed"]      # in a test: what is to be seen
    python -m tests.fault_table          # the table of docs/architecture.md
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    what: str
    status: str | None
    """Of the trial that was running; None where there is no record of it."""
    code: int | None
    """The exit code; None where nobody is left to give one."""
    line: str
    """Words of the last line on stderr; empty where nothing is wrong, or nobody is left."""
    test: str

    @property
    def row(self) -> str:
        """It in Markdown."""
        status = f"`{self.status}`" if self.status else "no record"
        code = "none" if self.code is None else str(self.code)
        file, _, name = self.test.partition("::")
        return f"| {self.what} | {status} | {code} | {self.line or '-'} | `{name}` in {file} |"


_ON_RAY, _ENDS = "tests/cli/test_run_on_ray.py::", "tests/cli/test_ends.py::"
_LOST = f"{_ENDS}test_a_process_of_ray_s_that_ends_or_freezes_ends_the_run_with_its_records"

FAULTS = {
    "Ctrl-C": Fault(
        "Ctrl-C",
        "interrupted",
        130,
        "go on by bench run ... --resume",
        f"{_ON_RAY}test_ctrl_c_keeps_what_is_finished_and_the_run_can_be_gone_on_with",
    ),
    "signal to all": Fault(
        "SIGTERM or SIGHUP to all processes of the job",
        "interrupted",
        130,
        "go on by bench run ... --resume",
        f"{_ON_RAY}test_a_signal_to_all_of_a_job_ends_it_as_ctrl_c_does",
    ),
    "signal at the start": Fault(
        "SIGTERM or Ctrl-C while Ray starts, or hangs as it does",
        None,
        130,
        "interrupted",
        f"{_ENDS}test_a_signal_is_heeded_while_ray_starts",
    ),
    "start hangs": Fault(
        "a start of Ray that does not come to an end",
        None,
        2,
        "Ray does not start on this machine",
        "tests/execution/test_local_ray.py::"
        "test_a_start_that_hangs_is_given_up_and_leaves_no_process_and_no_folder",
    ),
    "driver killed": Fault(
        "the run's own process is killed (`kill -9`); all of Ray's are gone within 10 s",
        None,
        None,
        "",
        f"{_ON_RAY}test_a_killed_driver_takes_its_workers_with_it_and_the_run_can_be_gone_on_with",
    ),
    "worker killed": Fault(
        "a training process is killed, more often than `--retries` allow",
        "worker_lost",
        5,
        "--resume",
        f"{_ON_RAY}test_a_killed_training_process_without_a_further_try_fails_the_run_"
        "until_it_is_resumed",
    ),
    "raylet killed": Fault("Ray's raylet is killed", "worker_lost", 5, "--resume", _LOST),
    "agent killed": Fault(
        "an agent of Ray's is killed, which its raylet does not survive",
        "worker_lost",
        5,
        "--resume",
        _LOST,
    ),
    "head frozen": Fault("Ray's head (GCS) stops or is gone", "worker_lost", 5, "--resume", _LOST),
    "raylet frozen": Fault(
        "a signal while Ray's raylet is stopped",
        "interrupted",
        130,
        "go on by bench run ... --resume",
        f"{_ENDS}test_a_signal_is_heeded_while_a_raylet_is_stopped",
    ),
    "raylet silent": Fault(
        "Ray's raylet is stopped, and no signal comes: within two minutes",
        "worker_lost",
        5,
        "--resume",
        "tests/execution/test_ray_process.py::"
        "test_a_raylet_that_stops_ends_the_run_with_its_records_without_a_signal",
    ),
    "process frozen": Fault(
        "Ray's process in the run is stopped, and no signal comes: after two minutes",
        "worker_lost",
        5,
        "--resume",
        "tests/execution/test_ray_process.py::"
        "test_a_process_that_freezes_is_given_up_with_its_records",
    ),
    "library": Fault(
        "Ray's library exits its process or crashes",
        "worker_lost",
        5,
        "--resume",
        "tests/execution/test_ray_process.py::"
        "test_a_process_that_dies_loses_what_ran_but_no_finished_epoch",
    ),
    "library hangs": Fault(
        "a signal while a call to Ray does not return",
        "interrupted",
        130,
        "go on by bench run ... --resume",
        "tests/execution/test_ray_process.py::"
        "test_an_interrupt_is_heeded_whatever_the_process_makes_of_it",
    ),
    "progress actor killed": Fault(
        "the actor to which workers tell their progress is killed: it is started again",
        "completed",
        0,
        "",
        "tests/execution/test_ray_executor.py::"
        "test_epochs_that_were_told_to_an_actor_that_died_are_not_lost_and_it_is_started_again",
    ),
    "over time": Fault(
        "a trial over its time limit, or without progress",
        "timed_out",
        5,
        "--resume",
        "tests/execution/test_ray_executor.py::"
        "test_a_trial_that_is_over_a_limit_is_ended_and_keeps_its_epochs",
    ),
    "disk full": Fault(
        "a full disk: the record that found no room is kept elsewhere",
        None,
        5,
        "No space left on device ... free space",
        "tests/execution/test_session_ends.py::test_a_disk_that_fills_in_mid_run_loses_nothing",
    ),
    "data damaged": Fault(
        "data that is missing or damaged",
        None,
        5,
        "name it in BENCH_DATA_DIR",
        f"{_ON_RAY}test_data_that_is_damaged_ends_a_run_before_it_goes_on_and_costs_none_of_"
        "what_it_had",
    ),
}

_HEAD = (
    "| Fault | The trial that was running | Exit code | Words of the last line | Shown by |\n"
    "|---|---|---|---|---|"
)


def table() -> str:
    """All rows in Markdown."""
    return "\n".join([_HEAD, *(fault.row for fault in FAULTS.values())])


if __name__ == "__main__":
    print(table())
