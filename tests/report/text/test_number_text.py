"""Values as text: digits, prefixes, intervals and durations."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.metric import METRICS
from bench.report.text.number_text import (
    UNKNOWN,
    UNSCALED,
    Scale,
    duration,
    interval,
    magnitude,
    number,
    percent,
    scale_of,
)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.71234, 3, "0.712"),
        (9.998, 3, "10.0"),
        (0.9999999999, 3, "1.00"),
        (1.005, 3, "1.00"),
        (12.34, 3, "12.3"),
        (1234.5, 3, "1234"),
        (0.000123456, 3, "0.000123"),
        (0.0, 3, "0"),
        (-1.5, 2, "-1.5"),
        (None, 3, "–"),
        (math.nan, 3, "–"),
        (math.inf, 3, "∞"),
    ],
)
def test_a_number_has_its_significant_digits(value: float | None, digits: int, text: str) -> None:
    assert number(value, digits) == text


@given(st.floats(1e-9, 1e9), st.integers(1, 9))
def test_the_text_is_the_value_rounded_in_its_last_digit(value: float, digits: int) -> None:
    shown = float(number(value, digits))
    assert abs(shown - value) <= max(0.5, value) * 10.0 ** (1 - digits)


@pytest.mark.parametrize(
    ("name", "values", "scale"),
    [
        ("epoch_s", [0.07, 0.08], Scale(1e-3, "ms")),
        ("epoch_s", [7e-6], Scale(1e-6, "µs")),
        ("epoch_s", [7000.0], Scale(1.0, "s")),
        ("epoch_s", [0.5, 2.0, 3.0], Scale(1.0, "s")),
        ("examples_per_s", [2.5e6], Scale(1e6, "M examples/s")),
        ("examples_per_s", [25.0], Scale(1.0, "examples/s")),
        ("peak_rss_bytes", [16e9], Scale(1e9, "GB")),
        ("val_accuracy", [0.0001], Scale(1.0, "")),
        ("epoch_s", [], Scale(1.0, "s")),
        ("epoch_s", [0.0, math.inf], Scale(1.0, "s")),
    ],
)
def test_a_column_has_the_prefix_that_suits_its_median(
    name: str, values: list[float], scale: Scale
) -> None:
    assert scale_of(values, METRICS[name]) == scale


def test_an_interval_is_in_brackets_with_the_decimals_of_its_value() -> None:
    assert interval(0.71, 0.69, 0.73, 2) == "0.71 [0.69, 0.73]"
    assert interval(0.0712, 0.0690, 0.0734, 3, Scale(1e-3, "ms")) == "71.2 [69.0, 73.4]"


def test_a_narrow_interval_shows_more_decimals() -> None:
    assert interval(1.9312, 1.9302, 1.9322, 3) == "1.931 [1.930, 1.932]"
    assert interval(1.0, 1.0 - 1e-12, 1.0 + 1e-12, 3) == "1.00000 [1.00000, 1.00000]"


def test_without_an_interval_only_the_value_is_shown() -> None:
    assert interval(0.71, None, None, 2) == "0.71"
    assert interval(None, None, None, 2) == "–"


@given(st.floats(1e-6, 1e6), st.floats(0, 1e3))
def test_the_rounded_value_lies_within_the_rounded_interval(value: float, half: float) -> None:
    text = interval(value, value - half, value + half, 3, UNSCALED)
    shown, low, high = map(float, re.findall(r"-?[\d.]+", text))
    assert low <= shown <= high


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.25, "0.25 s"),
        (59.0, "59 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_are_in_units_that_people_use(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_shares_are_in_percent() -> None:
    assert (percent(0.4567), percent(None), percent(1.0)) == ("46 %", "–", "100 %")


def test_a_rounding_error_does_not_change_the_prefix() -> None:
    assert scale_of([math.exp(math.log(1e9))], METRICS["peak_rss_bytes"]).unit == "GB"
    assert scale_of([0.999e9], METRICS["peak_rss_bytes"]).unit == "MB"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0123, "0.0123"),
        (-99_999.0, "-99999"),
        (123_456.0, "1.23e+05"),
        (-4.2e-30, "-4.20e-30"),
        (math.inf, "∞"),
        (math.nan, UNKNOWN),
    ],
)
def test_very_large_and_very_small_numbers_are_short(value: float, text: str) -> None:
    assert magnitude(value, 3) == text
