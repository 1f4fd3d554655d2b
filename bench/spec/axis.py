"""One value of one axis: is it a known key, and can that key have this value?

Usage:
    check_setting("norm", "bn_pst")   # ValueError: ... did you mean 'bn_post'?
"""

import difflib
import functools
from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from bench.spec.problem import requirement, shown
from bench.spec.variant import AXES, Variant
from bench.spec.workloads import registered, written_out

OWN_WORKLOAD = "package.module:function"
"""What else a workload may be, beside the names of the package's own."""


def check_setting(key: str, value: Any) -> Any:
    """``value`` as the variant's field will hold it; ValueError says what is wrong with it."""
    check_key(key, AXES)
    if key == "workload" and isinstance(value, str) and value not in _choices(key):
        value = written_out(value)
    try:
        return _adapter(key).validate_python(value)
    except ValidationError as error:
        raise ValueError(_explain(key, value, error)) from None


def check_key(key: str, known: Iterable[str]) -> None:
    """Raise ValueError for an unknown ``key``, naming the nearest of the ``known`` ones."""
    names = list(known)
    if key not in names:
        raise ValueError(f"unknown key '{key}'{nearest(key, names)}")


def nearest(word: str, names: Iterable[str]) -> str:
    """``": did you mean 'relu'?"``, or the list of what is allowed where nothing is near."""
    names = list(names)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f": did you mean '{close[0]}'?"
    return f": use one of {', '.join(names)}"


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


def _explain(key: str, value: Any, error: ValidationError) -> str:
    choices = _choices(key)
    if key == "workload":
        choices = list(dict.fromkeys([*choices, *registered(), OWN_WORKLOAD]))
    if choices:
        hint = nearest(value, choices) if isinstance(value, str) else nearest("", choices)
        return f"{key} cannot be {shown(value)}{hint}"
    problem = error.errors()[0]
    example = " of whole numbers, such as [300, 100]" if problem["type"] == "tuple_type" else ""
    return f"{key} cannot be {shown(value)}: it {requirement(problem)}{example}"
