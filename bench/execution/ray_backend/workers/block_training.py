"""Train a block in the holder that coordinates it: make its arms, and complete their records.

Usage:
    for event in train_block(work, failures, own_workers, other_holders):
        match event:
            case TrialRecord(): ...           # each arm's, as soon as it ends
"""

from collections.abc import Iterator, Mapping, Sequence

from bench.execution.executor import EpochEnd
from bench.execution.ray_backend.workers.block_work import ArmWork, BlockWork
from bench.execution.ray_backend.workers.epoch_log import append_epoch, remove_epochs
from bench.execution.ray_backend.workers.held_workers import HeldWorkers
from bench.execution.ray_backend.workers.remote_workers import RemoteHolder, RemoteWorkers
from bench.execution.turns.arm import Arm
from bench.execution.turns.arm_run import ArmStart, BlockEvent
from bench.execution.turns.coordinator import run_block
from bench.execution.turns.gang_arm import GangArm
from bench.records.clock import utc_now
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import TrialRecord


def train_block(
    work: BlockWork,
    failures: Mapping[str, TrialFailure],
    own: HeldWorkers,
    others: Sequence[RemoteHolder],
) -> Iterator[BlockEvent]:
    """Train the arms of ``work``; yield what happens, and a record for each.

    ``failures`` are the trials that cannot start, by id. ``own`` are the workers of this holder,
    the first; ``others`` are the further holders.
    """
    block = _BlockArms(own, others)
    able = []
    for arm in work.arms:
        if failure := failures.get(arm.trial.trial_id):
            yield ArmStart(arm.trial)
            status, reason = failure
            yield TrialRecord(trial=arm.trial, status=status, error=reason, wall_s=0.0)
        else:
            able.append(block.make_arm(arm))
    for event in run_block(able, work.settings, work.limits, block.free_bytes):
        match event:
            case ArmStart():
                block.note_start(event)
                yield event
            case EpochEnd():
                append_epoch(own.log(event.trial_id), event.epoch)
                yield event
            case TrialRecord():
                yield block.complete(event)


class _BlockArms:
    """The arms of a block, on the devices of its holders."""

    def __init__(self, own: HeldWorkers, others: Sequence[RemoteHolder]) -> None:
        self._own, self._others = own, others
        self._gangs: dict[str, GangArm] = {}
        self._started_at: dict[str, str] = {}

    def make_arm(self, arm: ArmWork) -> Arm:
        """Return the arm that trains ``arm``."""
        trial_id = arm.trial.trial_id
        if len(arm.slots) == 1:
            return self._own.arm(trial_id)
        remote = [RemoteWorkers(other, trial_id) for other in self._others]
        gang = GangArm(arm.trial, [self._own.part(trial_id), *(p for p in remote if p.workers)])
        self._gangs[trial_id] = gang
        return gang

    def free_bytes(self) -> dict[str, int]:
        """Return the free memory of all nodes and GPUs."""
        free = self._own.free_bytes()
        for other in self._others:
            free |= other.free_bytes()
        return free

    def note_start(self, start: ArmStart) -> None:
        """Note when a trial starts; it may have trained before, until memory ran out."""
        self._started_at[start.trial.trial_id] = utc_now()
        remove_epochs(self._own.log(start.trial.trial_id))

    def complete(self, record: TrialRecord) -> TrialRecord:
        """Return ``record`` with where it ran, and with its log if it did not complete."""
        trial_id = record.trial.trial_id
        gang = self._gangs.get(trial_id)
        if gang is None:
            record = self._own.complete(trial_id, 0, record)
            texts = filter(None, [self._own.take_logs(trial_id).get(0), record.log_tail])
            tail = "\n".join(texts) or None
        else:
            tail = gang.take_log()
        return record.model_copy(
            update={
                "node": record.node or self._own.node,
                "started_at": self._started_at.get(trial_id),
                "log_tail": None if record.status == "completed" else tail,
            }
        )
