"""Types of long fields, of which pydantic reports the first fault alone.

Usage:
    class Record(BaseModel):
        epochs: FailFastTuple[EpochRecord] = ()
        labels: FailFastDict[str] = {}

Pydantic otherwise gathers every error of a field, each of a few hundred bytes: a file of 1 MiB can
hold a million faults, which take gigabytes and tens of seconds to gather and to turn into text.
"""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, FailFast, ValidatorFunctionWrapHandler, WrapValidator

T = TypeVar("T")


def _item_by_item(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Check a table's items one after another: pydantic has no FailFast for a table."""
    if not isinstance(value, dict):
        return check(value)
    checked: dict[Any, Any] = {}
    for key, item in value.items():
        checked |= check({key: item})
    return checked


class _FailFast(FailFast):
    """Pydantic's own, which is not hashable, as ``FailFastTuple[int] | None`` needs it to be."""

    __hash__ = object.__hash__


FailFastTuple = Annotated[tuple[T, ...], _FailFast()]
FailFastList = Annotated[list[T], _FailFast()]
FailFastDict = Annotated[dict[str, T], WrapValidator(_item_by_item)]


def one_unknown_key(model: type[BaseModel], value: Any) -> Any:
    """``value`` with one of the keys that ``model`` does not have, where it has several.

    For a ``model_validator(mode="before")`` of a model that forbids them.
    """
    if not isinstance(value, dict) or len(value) <= len(model.model_fields):
        return value
    unknown = next(key for key in value if key not in model.model_fields)
    kept = {key: item for key, item in value.items() if key in model.model_fields}
    return {**kept, unknown: value[unknown]}
