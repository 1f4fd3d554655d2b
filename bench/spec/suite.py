"""A suite: the TOML file in which somebody says what to compare.

Usage:
    suite = load_suite("quick")              # a shipped name, or a path
    suite = load_suite("quick", {"variant.epochs": 2})

The file is read and every key and value checked here; ``expand`` turns it into variants.
"""

import itertools
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
from bench.files.reading import MiB, read_file
from bench.files.toml import parse_toml
from bench.spec import tables
from bench.spec.axis import check_key
from bench.spec.change import changed
from bench.spec.fail_fast import FailFastDict, FailFastList, one_unknown_key
from bench.spec.problem import place, shown
from bench.spec.suggestion import near_misses, nearest
from bench.spec.tables import Settings
from bench.spec.timing import Seconds, Timing
from bench.spec.variant import AXES

_MOST_BYTES = MiB
"""Of a suite's file: more than all variants that a suite may list by themselves take."""


class Comparison(BaseModel):
    """What is paired with what: cells alike but for ``axis`` against the ``baseline`` one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    axis: str
    baseline: Any

    @model_validator(mode="before")
    @classmethod
    def _unknown_key(cls, value: Any) -> Any:
        return one_unknown_key(cls, value)


class Suite(BaseModel):
    """A suite as written, each key and value known to be good on its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    """Part of the run folder's name."""
    description: str = ""
    """The question that it asks."""
    blocks: Annotated[int, Field(ge=1, strict=True)] = 1
    """Repeats of every comparison; an interval needs two."""
    seed: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    """Order of trials, weights and shuffles come from it."""
    stall_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] = 900.0
    """A trial that makes no step's worth of progress for so long is ended."""
    placement_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] = 3600.0
    """A block whose devices others hold for so long is given up."""
    trial_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] = 3600.0
    """A trial that takes longer is ended."""
    warmup_s: Seconds | None = None
    """Untimed training before a trial's first epoch. Silent: 2 s on a GPU, none on a CPU."""
    min_timing_s: Seconds | None = None
    """An epoch that takes less is timed several times from the same state, until these take so
    long together. Silent: 0.5 s on a GPU, 0 on a CPU."""
    variant: Settings = {}
    """Settings that hold in every variant."""
    matrix: FailFastDict[list[Any]] = {}
    """Lists of values, of which every combination is a variant."""
    variants: FailFastList[Settings] = []
    """Further variants, one table each, with a label if wanted."""
    exclude: FailFastList[Settings] = []
    """Combinations of the matrix to leave out."""
    compare: FailFastList[Comparison] = []
    """Which variants' times are divided: an axis, and its baseline's value."""
    only: FailFastList[str] = []
    """The variants to keep, all where it is empty: "AXIS=VALUE" (several axes narrow), labels, ids,
    or what labels and ids begin with."""

    _source: str = PrivateAttr("")
    _folder: Path | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _unknown_key(cls, value: Any) -> Any:
        return one_unknown_key(cls, value)

    @property
    def timing(self) -> Timing:
        """How its trials time their epochs."""
        return Timing(warmup_s=self.warmup_s, min_timing_s=self.min_timing_s)

    @property
    def folder(self) -> Path | None:
        """Where its file is; None for a shipped suite, and for one that has no file."""
        return self._folder

    @property
    def source(self) -> str:
        """What errors call the suite: its file where it has one, else its name."""
        return self._source or self.name


def shipped_suites() -> list[str]:
    """Names of the suites that come with the package, sorted."""
    folder = resources.files("bench") / "suites"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def suite_file(name_or_path: str | Path) -> Path:
    """Where the suite of that shipped name is, or the path itself."""
    if str(name_or_path) in shipped_suites():
        return Path(str(resources.files("bench") / "suites" / f"{name_or_path}.toml"))
    return Path(name_or_path)


def load_suite(name_or_path: str | Path, changes: Mapping[str, Any] | None = None) -> Suite:
    """The suite of that shipped name or at that path, with ``changes`` made to it.

    ``changes`` are those of ``--set``: ``blocks = 5`` replaces a key of the suite, any other
    key an axis: a list becomes that axis of the matrix, a single value holds everywhere.
    Raises SuiteError, naming the file, the key and the nearest valid name.
    """
    source, text = _read(name_or_path)
    try:
        content = parse_toml(text)
    except ValueError as error:
        raise SuiteError(f"{source}: not valid TOML: {error}: correct that line") from None
    try:
        for key, value in (changes or {}).items():
            content = changed(content, key, value, Suite.model_fields)
    except ValueError as error:
        raise SuiteError(f"--set: {error}") from None
    suite = parse_suite(content, f"{source} as the command line has it" if changes else source)
    if str(name_or_path) not in shipped_suites():
        suite._folder = Path(name_or_path).resolve().parent
    return suite


def parse_suite(content: Mapping[str, Any], source: str = "") -> Suite:
    """A suite from its content as a mapping; ``source`` is what errors call it.

    Raises SuiteError, naming the source, the key and what to write instead.
    """
    named = source or str(content.get("name", "suite"))
    try:
        _check_keys(content)
        suite = Suite.model_validate(content)
        suite = suite.model_copy(update=_checked_tables(suite))
    except ValidationError as error:
        raise SuiteError(f"{named}: {_explain(error)}") from None
    except ValueError as error:
        raise SuiteError(f"{named}: {error}") from None
    suite._source = source
    return suite


def first_difference(here: Suite, there: Suite) -> str | None:
    """The first key in which a suite differs from the one that a run folder was made of.

    None where ``here`` may go on with that run: it is the same, but for its description, for
    its time limits, which no measured value depends on, or for more blocks, by which the run is
    extended.
    """
    if here.blocks < there.blocks:
        return f"blocks: {here.blocks} here, {there.blocks} in the run folder"
    limits = {"trial_timeout_s", "stall_timeout_s", "placement_timeout_s"}
    free = {"description", "blocks", *limits}
    return next(_differences(here.model_dump(exclude=free), there.model_dump(exclude=free)), None)


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
        here, there = ("not set" if side is None else shown(side) for side in (here, there))
        yield f"{place(path)}: {here} here, {there} in the run folder"


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _read(name_or_path: str | Path) -> tuple[str, str]:
    shipped = shipped_suites()
    if str(name_or_path) in shipped:
        return f"{name_or_path}.toml", suite_file(name_or_path).read_text(encoding="utf-8")
    path = Path(name_or_path)
    try:
        return str(path), read_file(path, _MOST_BYTES).decode("utf-8-sig")  # editors leave a mark
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
    """Refuse a key that no suite has, or that stands where it does not belong."""
    for key in content:
        if key in AXES:
            raise ValueError(f"{key} is no key of the suite itself: move it to [variant]")
        check_key(key, Suite.model_fields)
    for table in ("variant", "matrix"):
        settings = content.get(table)
        for key in settings if isinstance(settings, Mapping) else ():
            if key in Suite.model_fields:
                raise ValueError(f"{table}: {key} is a key of the suite: move it above [{table}]")


def _checked_tables(suite: Suite) -> dict[str, Any]:
    """The tables of axis settings, each value checked and in its canonical form."""
    return {
        "variant": tables.checked_settings(suite.variant, "variant"),
        "matrix": tables.checked_matrix(suite.matrix),
        "variants": tables.checked_variants(suite.variants),
        "exclude": tables.checked_exclude(suite.exclude),
        "compare": [_checked_comparison(c, f"compare[{i}]") for i, c in enumerate(suite.compare)],
    }


def _checked_comparison(comparison: Comparison, where: str) -> Comparison:
    baseline = tables.checked_baseline(comparison.axis, comparison.baseline, where)
    return comparison.model_copy(update={"baseline": baseline})


def _explain(error: ValidationError) -> str:
    known = Suite if len(error.errors()[0]["loc"]) == 1 else Comparison
    return tables.explain(error.errors()[0], known.model_fields)
