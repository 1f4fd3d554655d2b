"""Check a single setting: the key must be an axis, and the value one of its values.

Usage:
    check_setting("norm", "bn_pst")   # ValueError: ... did you mean 'bn_post'?
"""

import functools
from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from bench.files.toml_file import parse_toml
from bench.spec.axes import AXES
from bench.spec.error_text import requirement, value_text
from bench.spec.registered_workloads import registered_workloads, resolve_name
from bench.spec.suggestion import near_misses, nearest
from bench.spec.variant import Variant

CUSTOM_WORKLOAD_FORM = "package.module:function"
"""The form of a workload that is not built in."""


def check_setting(key: str, value: Any) -> Any:
    """Return ``value`` as a variant holds it; raise ValueError with what is wrong with it."""
    check_key(key, AXES)
    if key == "workload" and isinstance(value, str) and value not in _choices(key):
        value = resolve_name(value)
    try:
        return _adapter(key).validate_python(value)
    except ValidationError as error:
        raise ValueError(_explain(key, value, error)) from None


def check_key(key: str, known: Iterable[str]) -> None:
    """Raise ValueError for a ``key`` that is not ``known``, with the nearest known ones."""
    names = list(known)
    if key not in names:
        axes = [axis for axis in _axes_with(key) if axis in names]
        if axes and not near_misses(key, names):
            raise ValueError(
                f"unknown key '{key}': it is a value of {axes[0]}: write {axes[0]} = \"{key}\""
            )
        raise ValueError(f"unknown key '{key}'{nearest(key, names)}")


def is_list_axis(key: str, value: Any) -> bool:
    """Return whether ``value`` is a list of values of the axis ``key``, not one value."""
    takes_list = get_origin(Variant.model_fields[_field_of(key)].annotation) is tuple
    is_nested = isinstance(value, list) and any(isinstance(one, list) for one in value)
    return isinstance(value, list) and (not takes_list or is_nested)


def choices_of(annotation: Any) -> list[str]:
    """Return the names that a field of type ``annotation`` accepts; empty if it takes no names."""
    if get_origin(annotation) is Literal:
        return [choice for choice in get_args(annotation) if isinstance(choice, str)]
    return [choice for part in get_args(annotation) for choice in choices_of(part)]


@functools.cache
def _adapter(key: str) -> TypeAdapter[Any]:
    field = Variant.model_fields[_field_of(key)]
    return TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]


def _field_of(key: str) -> str:
    return "global_batch_size" if key == "per_replica_batch_size" else key


def _choices(key: str) -> list[str]:
    return choices_of(Variant.model_fields[_field_of(key)].annotation)


def _axes_with(value: str) -> list[str]:
    """Return the axes of which ``value`` is a value."""
    return [key for key in Variant.model_fields if value in _choices(key)]


def _explain(key: str, value: Any, error: ValidationError) -> str:
    choices = _choices(key)
    if key == "workload":
        choices = list(dict.fromkeys([*choices, *registered_workloads(), CUSTOM_WORKLOAD_FORM]))
    if choices:
        return f"{key} cannot be {value_text(value)}{_hint(value, choices)}"
    problem = error.errors()[0]
    more = " of whole numbers, such as [300, 100]" if problem["type"] == "tuple_type" else ""
    if isinstance(value, str) and _is_toml(value):
        more = ", without quotes"
    return f"{key} cannot be {value_text(value)}: it {requirement(problem)}{more}"


def _is_toml(text: str) -> bool:
    try:
        return bool(parse_toml(f"value = {text}"))
    except ValueError:
        return False


def _hint(value: Any, choices: list[str]) -> str:
    if not isinstance(value, str):
        return nearest("", choices)
    axes = [] if near_misses(value, choices) else _axes_with(value)
    return f"{f': it is a value of {axes[0]}' if axes else ''}{nearest(value, choices)}"
