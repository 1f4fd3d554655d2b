"""Why a trial has no result."""

from typing import NamedTuple

from bench.records.trial_record import Status


class TrialFailure(NamedTuple):
    """The status of a trial that ended without a result, and the reason, in one line."""

    status: Status
    reason: str
