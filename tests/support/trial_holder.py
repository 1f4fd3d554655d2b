"""A process that holds a trial process at a stage, for a test that kills one of them.

Usage:
    python -m tests.support.trial_holder training

The stages are "importing" (the import of ``endless_import``), "loading" (the process has no trial
yet), "training" (its trial does not end) and "between" (it waits for a turn). When the stage is
reached, it prints a JSON list of the pids of preloader and process, and waits for the end of the
process. Then it prints a list of the exit codes of both, as far as they are known.
"""

import json
import os
import sys
from collections.abc import Sequence

from bench.errors import HelperError
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.protocol.messages import TurnEnd
from tests.support.scripted_child import start_trial

PATIENCE_S = 60.0
_ACTIONS = {"training": "hang", "between": "turns"}


def main() -> None:
    """Reach the stage, print the pids, and wait."""
    stage = sys.argv[1]
    modules = ["tests.support.endless_import"] if stage == "importing" else []
    try:
        with PreloaderClient(modules=modules, child="tests.support.scripted_child") as preloader:
            _hold(preloader, stage)
    except HelperError as error:
        print(json.dumps(str(error)), flush=True)


def _hold(preloader: PreloaderClient, stage: str) -> None:
    process = preloader.start()
    assert process.receive(PATIENCE_S)
    if action := _ACTIONS.get(stage):
        nothing = os.open(os.devnull, os.O_RDWR)
        process.send(start_trial(action), [nothing, nothing])
    if stage == "between":
        assert isinstance(process.receive(PATIENCE_S), TurnEnd)
    _print([preloader.pid, process.pid])
    assert process.receive(600.0) is None
    ended = process.exit(PATIENCE_S)
    _print([ended.code, ended.preloader_code])


def _print(numbers: Sequence[int | None]) -> None:
    print(json.dumps(numbers), flush=True)


if __name__ == "__main__":
    main()
