"""Find norms that leave nothing to learn from, and norms that older records define differently.

Usage:
    remarks = norm_remarks(completed, raw.settings)
    remarks[variant_id].constant          # 2, of remarks[variant_id].norms
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.spec.norm_groups import FEWEST_VALUES


@dataclass(frozen=True, slots=True)
class NormRemark:
    """What a report says about a variant's norms."""

    norms: int
    constant: int
    """Norms that leave nothing to learn from, because each mean is over fewer than
    ``FEWEST_VALUES`` values."""
    older: str | None
    """layer or group, if the record is from before such norms averaged over more values: layer norm
    of images was then over the channels of each position, and a group could hold one or a few
    values."""


def norm_remarks(
    completed: pd.DataFrame, settings: Sequence[Mapping[str, Any]]
) -> dict[str, NormRemark]:
    """Return a remark by variant, where a trial in ``completed`` calls for one.

    ``completed`` has the columns "norm", "workload" and "settings", the index in ``settings`` of
    what each trial ran with.
    """
    columns = ["variant_id", "norm", "workload", "settings"]
    rows = completed[columns].drop_duplicates().itertuples(index=False, name=None)
    remarks: dict[str, NormRemark] = {}
    for variant_id, norm, workload, code in rows:
        values = settings[code].get("norm_values")
        has_norms = bool(settings[code].get("norm_layers"))
        older = _older(norm, workload) if has_norms and values is None else None
        constant = sum(count < FEWEST_VALUES for count in values or ())
        if constant or older:
            remarks[variant_id] = NormRemark(len(values or ()), constant, older)
    return remarks


def _older(norm: str, workload: str) -> str | None:
    return norm if norm == "group" or (norm == "layer" and workload != "mlp") else None
