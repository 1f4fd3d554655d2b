"""Ask whether the intervals of a run folder are as narrow as its suite wants them.

Usage:
    stopping = narrow_enough(folder, suite)
    stopping.rule, stopping.half_width
"""

from bench.analysis.comparison.compare import log_ratios
from bench.analysis.loading.data_frames import trials_frame
from bench.analysis.loading.measurement_sessions import SESSION_COLUMNS, with_sessions
from bench.analysis.loading.record_loading import load_records
from bench.analysis.statistics.stopping import decide
from bench.records.run_folder import RunFolder
from bench.records.stopping_record import Stopping
from bench.spec.pairing import Pair
from bench.spec.suite import Suite

_COLUMNS = (
    *("trial_id", "variant_id", "block", "part", "status", "epoch_s", "examples", "steady"),
    *SESSION_COLUMNS,
)


def narrow_enough(folder: RunFolder, suite: Suite) -> Stopping:
    """Look at the run in ``folder``, of which ``suite.blocks`` blocks have run.

    Raises RunFolderError if a record is damaged, ValueError if the suite has no precision.
    """
    if suite.precision is None:
        raise ValueError("the suite has no precision")
    info, raw = folder.info(), load_records(folder, all_attempts=True)
    attempts = with_sessions(trials_frame(raw, _COLUMNS), info.invocations)
    attempts = attempts.assign(settings=raw.settings_code)
    trials = attempts[~attempts["trial_id"].duplicated(keep="last")]
    pairs = _distinct(info.pairs)
    return decide(
        log_ratios(trials, pairs, raw.turns),
        pairs,
        blocks=suite.blocks,
        precision=suite.precision,
        max_blocks=suite.max_blocks,
    )


def _distinct(pairs: tuple[Pair, ...]) -> list[Pair]:
    """Return each two variants once, though a suite may compare them along several axes."""
    return list({(pair.variant_id, pair.baseline_id): pair for pair in pairs}.values())
