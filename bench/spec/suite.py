"""A suite: the TOML file that says what to compare.

Usage:
    suite = load_suite("quick")              # a shipped name, or a path
    suite = load_suite("quick", {"variant.epochs": 2})

This module reads the file and checks every key and value; ``expand`` makes variants of it.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from bench.errors import SuiteError
from bench.files.bounded_reading import MiB, read_file
from bench.files.toml_file import parse_toml
from bench.spec import suite_validation
from bench.spec.axes import AXES
from bench.spec.axis_validation import check_key
from bench.spec.environments import (
    EnvironmentSettings,
    check_environment_name,
    checked_environments,
)
from bench.spec.error_text import location_text, value_text
from bench.spec.fail_fast_types import FailFastDict, FailFastList, one_unknown_key
from bench.spec.overrides import apply_overrides, is_suite_key
from bench.spec.suggestion import near_misses, nearest
from bench.spec.suite_validation import Settings
from bench.spec.timing import Seconds, Timing
from bench.spec.turn_settings import (
    DEFAULT_ARMS_AT_ONCE,
    DEFAULT_TURN_S,
    MOST_ARMS_AT_ONCE,
    TurnMode,
)

FEWEST_BLOCKS_FOR_INTERVAL = 3
"""With fewer blocks a ratio has no interval: t of one degree of freedom is 12.7 deviations wide."""
FEWEST_BLOCKS_FOR_PRECISION = 6
"""With fewer blocks the standard deviation is too uncertain to stop a run on."""
DEFAULT_BLOCKS = 6
"""The fewest for which a median has an interval by order statistics; intervals are 2.4 times
narrower than those of three blocks."""
_MAX_BYTES = MiB
"""The size limit of a suite's file; a list of as many variants as are allowed is smaller."""


class Comparison(BaseModel):
    """Compare cells that differ only in ``axis`` with the one whose value is ``baseline``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    axis: str
    baseline: Any

    @model_validator(mode="before")
    @classmethod
    def _unknown_key(cls, value: Any) -> Any:
        return one_unknown_key(cls, value)


class Suite(BaseModel):
    """A suite as its file writes it; each key and value is valid, taken by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """Part of the run folder's name."""
    description: str = ""
    """The question that the suite answers."""
    blocks: Annotated[int, Field(ge=1, strict=True)] = DEFAULT_BLOCKS
    """Repeats of every comparison; an interval needs three. With `precision`, the first of them: 6
    or more."""
    precision: Annotated[float, Field(gt=0, lt=1, strict=True)] | None = None
    """Blocks are added, two at a time, until every ratio's interval is this narrow: with 0.02 its
    upper end is at most 1.02 times the ratio. Unset: exactly `blocks` run."""
    max_blocks: Annotated[int, Field(ge=FEWEST_BLOCKS_FOR_PRECISION, strict=True)] = 30
    """With `precision`: no blocks are added to this many."""
    seed: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    """Seed of the order of trials, of weights and of shuffles."""
    stall_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] = 900.0
    """A trial is stopped if it makes no progress for this long."""
    placement_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] = 3600.0
    """A block is given up if its devices are occupied for this long."""
    trial_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] = 3600.0
    """A trial that takes longer is stopped."""
    warmup_s: Seconds | None = None
    """Untimed training before a trial's first epoch. Unset: 2 s on a GPU, none on a CPU."""
    min_timing_s: Seconds | None = None
    """A shorter epoch is repeated from the same state until the repeats together take this long.
    Unset: 0.5 s on a GPU, 0 on a CPU."""
    turns: TurnMode = "window"
    """What one arm of a block trains while the others wait: some windows of steps ("window"), an
    epoch ("epoch"), or its whole trial ("trial")."""
    turn_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False, strict=True)] = (
        DEFAULT_TURN_S
    )
    """A turn of windows takes this long or longer, if an epoch does."""
    arms_at_once: Annotated[int, Field(ge=1, le=MOST_ARMS_AT_ONCE, strict=True)] = (
        DEFAULT_ARMS_AT_ONCE
    )
    """The most arms that take turns with a baseline. A larger group is split into parts, and each
    part trains its own baseline."""
    variant: Settings = {}
    """Settings of every variant."""
    matrix: FailFastDict[list[Any]] = {}
    """Lists of values; every combination is a variant."""
    variants: FailFastList[Settings] = []
    """Further variants, one table each, with an optional label."""
    exclude: FailFastList[Settings] = []
    """Combinations of the matrix to leave out."""
    environments: FailFastDict[EnvironmentSettings] = {}
    """What trials run under, by name; the axis `environment` chooses."""
    compare: FailFastList[Comparison] = []
    """The variants whose times are divided: an axis, and the baseline's value. Both train on the
    same data: those that differ in `dataset`, `shape` or `classes` are refused."""
    only: FailFastList[str] = []
    """The variants to keep; all if empty. "AXIS=VALUE" (several axes narrow), labels, ids, or
    beginnings of labels and ids."""

    _source: str = PrivateAttr("")
    _folder: Path | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _unknown_key(cls, value: Any) -> Any:
        return one_unknown_key(cls, value)

    @property
    def timing(self) -> Timing:
        """How the suite's trials time their epochs."""
        return Timing(warmup_s=self.warmup_s, min_timing_s=self.min_timing_s)

    @property
    def most_blocks(self) -> int:
        """The largest number of blocks that a run of the suite can have."""
        return self.blocks if self.precision is None else max(self.blocks, self.max_blocks)

    @property
    def folder(self) -> Path | None:
        """The folder of the suite's file; None for a shipped suite, and for one without a file."""
        return self._folder

    @property
    def source(self) -> str:
        """The name of the suite in errors: its file, or its name if it has none."""
        return self._source or self.name


def shipped_suites() -> list[str]:
    """Return the names of the suites that come with the package, sorted."""
    folder = resources.files("bench") / "suites"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def suite_file(name_or_path: str | Path) -> Path:
    """Return the file of a shipped suite, or the path itself."""
    if str(name_or_path) in shipped_suites():
        return Path(str(resources.files("bench") / "suites" / f"{name_or_path}.toml"))
    return Path(name_or_path)


def load_suite(name_or_path: str | Path, changes: Mapping[str, Any] | None = None) -> Suite:
    """Load a shipped suite by name, or a suite's file by path, and apply ``changes`` to it.

    ``changes`` are those of ``--set``: ``blocks = 5`` replaces a key of the suite. Any other key
    is an axis: a list becomes that axis of the matrix, a single value holds for every variant.
    Raises SuiteError with the file, the key and the nearest valid name.
    """
    source, text = _read(name_or_path)
    try:
        content = parse_toml(text)
    except ValueError as error:
        raise SuiteError(f"{source}: not valid TOML: {error}: correct that line") from None
    try:
        for key, value in (changes or {}).items():
            content = apply_overrides(content, key, value, Suite.model_fields)
    except ValueError as error:
        raise SuiteError(f"--set: {error}") from None
    suite = parse_suite(content, f"{source}, changed by the command line" if changes else source)
    if str(name_or_path) not in shipped_suites():
        suite._folder = Path(name_or_path).resolve().parent
    return suite


def parse_suite(content: Mapping[str, Any], source: str = "") -> Suite:
    """Make a suite from its content; ``source`` is its name in errors.

    Raises SuiteError with the source, the key and what to write instead.
    """
    title = source or str(content.get("name", "suite"))
    try:
        _check_keys(content)
        suite = Suite.model_validate(content)
        suite = suite.model_copy(update=_checked_tables(suite))
        _check_environment_names(suite)
        if suite.precision is not None and suite.compare:
            blocks = max(suite.blocks, FEWEST_BLOCKS_FOR_PRECISION)
            suite = suite.model_copy(update={"blocks": blocks})
    except ValidationError as error:
        raise SuiteError(f"{title}: {_explain(error)}") from None
    except ValueError as error:
        raise SuiteError(f"{title}: {error}") from None
    suite._source = source
    return suite


def first_difference(here: Suite, there: Suite) -> str | None:
    """Return the first key in which a suite differs from that of a run folder.

    Returns None if ``here`` can resume that run: it differs at most in its description, in its
    time limits, which no measured value depends on, and in more blocks or a higher precision, which
    extend the run.
    """
    if there.precision is not None and (here.precision or math.inf) > there.precision:
        return next(_differences(here.precision, there.precision, ("precision",)))
    if here.precision is None and here.blocks < there.blocks:
        return f"blocks: {here.blocks} here, {there.blocks} in the run folder"
    limits = {"trial_timeout_s", "stall_timeout_s", "placement_timeout_s"}
    ignored = {"description", "blocks", "precision", "max_blocks", *limits}
    this, that = (suite.model_dump(exclude=ignored) for suite in (here, there))
    return next(_differences(this, that), None)


def _differences(here: Any, there: Any, path: tuple[str | int, ...] = ()) -> Iterator[str]:
    if isinstance(here, dict) and isinstance(there, dict):
        for key in {**here, **there}:
            yield from _differences(here.get(key), there.get(key), (*path, key))
        if path == ("matrix",) and list(here) != list(there):  # The plan's order depends on it.
            yield f"matrix: {', '.join(here)} here, {', '.join(there)} in the run folder"
    elif _is_list_of_tables(here) and _is_list_of_tables(there):
        for i, (a, b) in enumerate(itertools.zip_longest(here, there)):
            yield from _differences(a, b, (*path, i))
    elif here != there:
        here, there = ("not set" if side is None else value_text(side) for side in (here, there))
        yield f"{location_text(path)}: {here} here, {there} in the run folder"


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _read(name_or_path: str | Path) -> tuple[str, str]:
    shipped = shipped_suites()
    if str(name_or_path) in shipped:
        return f"{name_or_path}.toml", suite_file(name_or_path).read_text(encoding="utf-8")
    path = Path(name_or_path)
    try:
        # Some editors write a byte order mark.
        return str(path), read_file(path, _MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        known = [*shipped, *_files_beside(path)]
        hint = nearest(str(path), near_misses(str(path), known) or shipped)
        raise SuiteError(f"no suite '{name_or_path}', shipped or as a file{hint}") from None
    except IsADirectoryError:
        raise SuiteError(f"{path}: is a directory: name a TOML file") from None
    except UnicodeDecodeError:
        raise SuiteError(f"{path}: is not UTF-8 text: name a TOML file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SuiteError(f"{path}: cannot be read: {reason}: name a TOML file") from None


def _files_beside(path: Path) -> list[str]:
    try:
        return sorted(str(file) for file in path.parent.glob("*.toml"))
    except OSError:
        return []


def _check_keys(content: Mapping[str, Any]) -> None:
    """Refuse an unknown key, and a key in the wrong table."""
    for key, value in content.items():
        if key in AXES and not is_suite_key(key, value, Suite.model_fields):
            raise ValueError(f"{key} is not a key of the suite itself: move it to [variant]")
        check_key(key, Suite.model_fields)
    for table in ("variant", "matrix"):
        settings = content.get(table)
        for key in settings if isinstance(settings, Mapping) else ():
            if key in Suite.model_fields and key not in AXES:
                raise ValueError(f"{table}: {key} is a key of the suite: move it above [{table}]")


def _checked_tables(suite: Suite) -> dict[str, Any]:
    """Return the tables of axis settings, each value checked and in its canonical form."""
    return {
        "environments": checked_environments(suite.environments),
        "variant": suite_validation.checked_settings(suite.variant, "variant"),
        "matrix": suite_validation.checked_matrix(suite.matrix),
        "variants": suite_validation.checked_variants(suite.variants),
        "exclude": suite_validation.checked_exclude(suite.exclude),
        "compare": [_checked_comparison(c, f"compare[{i}]") for i, c in enumerate(suite.compare)],
    }


def _check_environment_names(suite: Suite) -> None:
    """Refuse an environment that a table names and the suite does not define."""
    tables = [
        ("variant", suite.variant),
        *((f"variants[{i}]", table) for i, table in enumerate(suite.variants)),
        *((f"exclude[{i}]", table) for i, table in enumerate(suite.exclude)),
        *(("matrix", {"environment": name}) for name in suite.matrix.get("environment", [])),
        *((f"compare[{i}]", {c.axis: c.baseline}) for i, c in enumerate(suite.compare)),
    ]
    for where, settings in tables:
        if "environment" in settings:
            check_environment_name(where, settings["environment"], suite.environments)


def _checked_comparison(comparison: Comparison, where: str) -> Comparison:
    baseline = suite_validation.checked_baseline(comparison.axis, comparison.baseline, where)
    return comparison.model_copy(update={"baseline": baseline})


def _explain(error: ValidationError) -> str:
    problem = error.errors()[0]
    table = problem["loc"][0] if len(problem["loc"]) > 1 else None
    tables: dict[Any, type[BaseModel]] = {
        "environments": EnvironmentSettings,
        "compare": Comparison,
    }
    known = tables.get(table, Suite)
    return suite_validation.explain(problem, known.model_fields)
