"""One value of one axis: is it a known key, and can that key have this value?

Usage:
    check_setting("norm", "bn_pst")   # ValueError: ... did you mean 'bn_post'?
"""

import functools
from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from bench.files.toml_file import parse_toml
from bench.spec.error_text import requirement, value_text
from bench.spec.registered_workloads import expand_name, registered_workloads
from bench.spec.suggestion import near_misses, nearest
from bench.spec.variant import AXES, Variant

OWN_WORKLOAD = "package.module:function"
"""What else a workload may be, beside the names of the package's own."""


def check_setting(key: str, value: Any) -> Any:
    """``value`` as the variant's field will hold it; ValueError says what is wrong with it."""
    check_key(key, AXES)
    if key == "workload" and isinstance(value, str) and value not in _choices(key):
        value = expand_name(value)
    try:
        return _adapter(key).validate_python(value)
    except ValidationError as error:
        raise ValueError(_explain(key, value, error)) from None


def check_key(key: str, known: Iterable[str]) -> None:
    """Raise ValueError for an unknown ``key``, naming the nearest of the ``known`` ones."""
    names = list(known)
    if key not in names:
        axes = [axis for axis in _axes_with(key) if axis in names]
        if axes and not near_misses(key, names):
            raise ValueError(
                f"unknown key '{key}': it is a value of {axes[0]}: write {axes[0]} = \"{key}\""
            )
        raise ValueError(f"unknown key '{key}'{nearest(key, names)}")


def is_list_axis(key: str, value: Any) -> bool:
    """Whether ``value`` is a list of values of the axis ``key``, one of which may be a list."""
    is_list = get_origin(Variant.model_fields[_field_of(key)].annotation) is tuple
    return isinstance(value, list) and (not is_list or any(isinstance(one, list) for one in value))


def choices_of(annotation: Any) -> list[str]:
    """The names that a field may hold, whatever else it may; none where it takes no names."""
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
    """The axes that have ``value`` among their names."""
    return [key for key in Variant.model_fields if value in _choices(key)]


def _explain(key: str, value: Any, error: ValidationError) -> str:
    choices = _choices(key)
    if key == "workload":
        choices = list(dict.fromkeys([*choices, *registered_workloads(), OWN_WORKLOAD]))
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
