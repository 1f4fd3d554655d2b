"""A suite: the TOML file in which somebody says what to compare.

Usage:
    suite = load_suite("quick")              # a shipped name, or a path
    suite = load_suite("quick", {"variant.epochs": 2})

The file is read and every key and value checked here; ``expand`` turns it into variants.
"""

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import SuiteError
from bench.spec.axis import check_key, check_setting, nearest

_Settings = dict[str, Any]


class Comparison(BaseModel):
    """What is paired with what: cells alike but for ``axis`` against the ``baseline`` one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    axis: str
    baseline: Any


class Suite(BaseModel):
    """A suite as written, each key and value known to be good on its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    description: str = ""
    blocks: Annotated[int, Field(ge=1, strict=True)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = 0
    trial_timeout_s: Annotated[float, Field(gt=0, strict=True)] = 3600.0
    variant: _Settings = {}
    matrix: dict[str, list[Any]] = {}
    variants: list[_Settings] = []
    exclude: list[_Settings] = []
    compare: list[Comparison] = []


def shipped_suites() -> list[str]:
    """Names of the suites that come with the package, sorted."""
    folder = resources.files("bench") / "suites"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def load_suite(name_or_path: str | Path, changes: Mapping[str, Any] | None = None) -> Suite:
    """The suite of that shipped name or at that path, with ``changes`` made to it.

    ``changes`` are those of ``--set``: ``blocks = 5`` replaces a key of the suite, any other
    key an axis: a list becomes that axis of the matrix, a single value holds everywhere.
    Raises SuiteError, naming the file, the key and the nearest valid name.
    """
    source, text = _read(name_or_path)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{source}: not valid TOML: {error}") from None
    for key, value in (changes or {}).items():
        content = _changed(content, key, value)
    return parse_suite(content, source)


def parse_suite(content: Mapping[str, Any], source: str = "suite") -> Suite:
    """A suite from its content as a mapping; ``source`` is what errors call it."""
    try:
        for key in content:
            check_key(key, Suite.model_fields)
        suite = Suite.model_validate(content)
        return suite.model_copy(update=_checked_tables(suite))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SuiteError(f"{source}: {where}: {first['msg']}") from None
    except ValueError as error:
        raise SuiteError(f"{source}: {error}") from None


def _read(name_or_path: str | Path) -> tuple[str, str]:
    shipped = shipped_suites()
    if str(name_or_path) in shipped:
        file = resources.files("bench") / "suites" / f"{name_or_path}.toml"
        return f"{name_or_path}.toml", file.read_text(encoding="utf-8")
    path = Path(name_or_path)
    if not path.exists():
        raise SuiteError(f"no suite '{name_or_path}', shipped or as a file{nearest(str(path), shipped)}")
    try:
        return str(path), path.read_text(encoding="utf-8")
    except IsADirectoryError:
        raise SuiteError(f"{path}: is a directory: name a TOML file") from None
    except UnicodeDecodeError:
        raise SuiteError(f"{path}: is not UTF-8 text: name a TOML file") from None
    except OSError as error:
        raise SuiteError(f"{path}: cannot be read: {error.strerror}") from None


def _checked_tables(suite: Suite) -> dict[str, Any]:
    """The tables of axis settings, each value checked and in its canonical form."""
    return {
        "variant": _checked(suite.variant, "variant"),
        "matrix": {key: _checked_axis(key, values) for key, values in suite.matrix.items()},
        "variants": [_checked_listed(v, i) for i, v in enumerate(suite.variants)],
        "exclude": [_checked(e, f"exclude[{i}]") for i, e in enumerate(suite.exclude)],
        "compare": [_checked_comparison(c, i) for i, c in enumerate(suite.compare)],
    }


def _checked(settings: _Settings, where: str) -> _Settings:
    try:
        return {key: check_setting(key, value) for key, value in settings.items()}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _checked_axis(key: str, values: Sequence[Any]) -> list[Any]:
    if not values:
        raise ValueError(f"matrix: {key} is an empty list: give it values, or leave it out")
    return [_checked({key: value}, "matrix")[key] for value in values]


def _checked_listed(settings: _Settings, index: int) -> _Settings:
    label = settings.get("label", "")
    if not isinstance(label, str):
        raise ValueError(f"variants[{index}]: label must be text, not {label!r}")
    axes = {key: value for key, value in settings.items() if key != "label"}
    return {**_checked(axes, f"variants[{index}]"), **({"label": label} if label else {})}


def _checked_comparison(comparison: Comparison, index: int) -> Comparison:
    if comparison.axis == "label":
        return comparison
    baseline = _checked({comparison.axis: comparison.baseline}, f"compare[{index}]")
    return comparison.model_copy(update={"baseline": baseline[comparison.axis]})


def _changed(content: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    changed = dict(content)
    if key in Suite.model_fields and key not in ("variant", "matrix"):
        return {**changed, key: value}
    axis = key.removeprefix("variant.").removeprefix("matrix.")
    matrix = {k: v for k, v in content.get("matrix", {}).items() if k != axis}
    variant = {k: v for k, v in content.get("variant", {}).items() if k != axis}
    variants = [{k: v for k, v in listed.items() if k != axis} for listed in content.get("variants", [])]
    if isinstance(value, list) and axis not in ("hidden", "filters", "shape"):
        matrix[axis] = value
    elif axis in ("hidden", "filters", "shape") and value and isinstance(value[0], list):
        matrix[axis] = value
    else:
        variant[axis] = value
    changed.update(variant=variant, matrix=matrix)
    return {**changed, "variants": variants} if variants else changed
