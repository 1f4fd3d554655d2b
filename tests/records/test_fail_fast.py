"""A file with many errors gives as few messages as a file with one error."""

import itertools
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from bench.analysis.loading.column_checks import column_check
from bench.records.epoch_record import EpochRecord
from bench.records.field_types import _Environment, _KnownKeys, _Resolved
from bench.records.run_info import RunInfo
from bench.records.trial_record import TrialRecord
from bench.spec.suite import Comparison, Suite
from bench.spec.variant import Variant

MANY = 30_000
READ = (TrialRecord, RunInfo, _Environment, _KnownKeys, _Resolved, Suite)
"""The models that files are read as; the models of their fields follow from these."""


def types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from types_in(part)


def models(model: type[BaseModel], known: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if model not in known:
        known.add(model)
        for field in model.model_fields.values():
            for part in types_in(field.annotation):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    models(part, known)
    return known


MODELS = sorted(
    set(itertools.chain.from_iterable(models(one, set()) for one in READ)), key=lambda m: m.__name__
)


def of_any(annotation: Any) -> bool:
    """Return whether a list or table of that type accepts any JSON value."""
    return get_args(annotation)[-1] is Any


FIELDS = [
    pytest.param(model, name, get_origin(part), id=f"{model.__name__}.{name}")
    for model in MODELS
    for name, field in model.model_fields.items()
    for part in types_in(field.annotation)
    if get_origin(part) in (tuple, list, dict) and not of_any(part)
]


def errors(adapter: TypeAdapter[Any], value: Any) -> int:
    with pytest.raises(ValidationError) as refused:
        adapter.validate_python(value)
    return refused.value.error_count()


@pytest.mark.parametrize(("model", "name", "kind"), FIELDS)
def test_a_long_list_or_table_gives_only_the_errors_of_its_first_item(
    model: type[BaseModel], name: str, kind: type
) -> None:
    field = model.model_fields[name]
    checked: Any = Annotated[field.annotation, field]
    adapter = TypeAdapter[Any](checked)
    items: tuple[Any, ...] = ({}, 0.5, None)
    for item in items:
        one, many = (
            {str(n): item for n in range(count)} if kind is dict else [item] * count
            for count in (1, MANY)
        )
        try:
            adapter.validate_python(one)
        except ValidationError as error:
            assert errors(adapter, many) == error.error_count()


def test_the_lists_of_all_parts_of_a_record_and_of_run_json_are_checked() -> None:
    looked_at = {param.id for param in FIELDS}
    assert {"TrialRecord.epochs", "RunInfo.trial_ids", "RunInfo.labels"} <= looked_at
    assert {"HealthRecord.kind", "_Environment.gpus", "_Gpu.instances"} <= looked_at


@pytest.mark.parametrize("model", [Variant, Comparison, Suite])
def test_only_one_of_many_unknown_keys_is_reported(model: type[BaseModel]) -> None:
    counts = {
        errors(TypeAdapter(model), {f"key{n}": 0 for n in range(count)}) for count in (100, MANY)
    }
    assert counts == {1 + sum(field.is_required() for field in model.model_fields.values())}


def test_a_column_is_read_up_to_its_first_wrong_value() -> None:
    with pytest.raises(ValidationError) as refused:
        column_check(EpochRecord, "epoch_s")(["slow"] * MANY)
    assert refused.value.error_count() == 1
