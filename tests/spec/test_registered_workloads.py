"""A suite may name a registered workload; the variant holds its function."""

import re
from pathlib import Path
from typing import Any

import pytest

from bench.spec.axis_validation import check_setting
from bench.spec.expand import expand
from bench.spec.registered_workloads import registered_workloads, resolve_name
from bench.spec.suite import parse_suite


def install(folder: Path, package: str, **names: str) -> None:
    """Write the metadata that an installer writes for ``package``."""
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {function}\n" for name, function in names.items()]
    (metadata / "entry_points.txt").write_text("".join(["[trainbench.workloads]\n", *lines]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one installed package, whose module cannot be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "absent_nets", towers="absent_nets.tall:towers", mlp="absent_nets:other")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_registered_name_becomes_its_function_and_imports_nothing() -> None:
    assert registered_workloads() == ["mlp", "towers"]
    assert check_setting("workload", "towers") == "absent_nets.tall:towers"


@pytest.mark.usefixtures("folder")
def test_a_built_in_name_cannot_be_replaced() -> None:
    assert check_setting("workload", "mlp") == "mlp"


@pytest.mark.usefixtures("folder")
def test_a_variant_is_the_same_by_name_and_by_function() -> None:
    def ids(workload: str) -> list[str]:
        content: dict[str, Any] = {
            "name": "own",
            "matrix": {"workload": ["mlp", workload]},
            "compare": [{"axis": "workload", "baseline": workload}],
        }
        return [cell.id for cell in expand(parse_suite(content))]

    assert ids("towers") == ids("absent_nets.tall:towers")


def test_a_name_that_packages_register_differently_is_refused_with_both(folder: Path) -> None:
    install(folder, "other_nets", towers="other_nets:towers")
    message = (
        "'towers' is registered for absent_nets.tall:towers and for other_nets:towers: write one"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        check_setting("workload", "towers")
    install(folder, "its_fork", mlp="absent_nets:other")
    assert resolve_name("mlp") == "absent_nets:other"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("tower", ": did you mean 'towers'?"),
        ("convnt", ": did you mean 'convnet'?"),
        ("own_package.module.function", ": did you mean 'package.module:function'?"),
        ("zzz", ": use one of mlp, convnet, resnet50, towers, package.module:function"),
    ],
)
def test_an_unknown_workload_is_refused_with_the_nearest(value: str, hint: str) -> None:
    with pytest.raises(ValueError, match="cannot be") as refused:
        check_setting("workload", value)
    assert str(refused.value) == f"workload cannot be '{value}'{hint}"
