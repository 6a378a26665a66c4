"""Quantities print in one spelling everywhere."""

from __future__ import annotations

import pytest

from workbench import units


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 k"),
        (12_345, "12.3 k"),
        (999_700, "1 M"),
        (3.4e12, "3.4 T"),
        (7.6894e17, "768,940 T"),
    ],
)
def test_counts(value: float, text: str) -> None:
    assert units.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (1_572_864, "1.5 MiB"),
        (5 * 2**30, "5 GiB"),
        (1020 * 2**40, "1020 TiB"),
        (3 * 2**50, "3 PiB"),
        (20_000 * 2**60, "20,000 EiB"),
    ],
)
def test_bytes(value: float, text: str) -> None:
    assert units.size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
        (367_200, "4 d 06 h"),
        (float("nan"), "?"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (1.23456, "1.2346"),
        (12.3456, "12.35"),
        (123.456, "123"),
        (1e-3, "1.00e-3"),
        (9.77e-4, "9.77e-4"),
        (-2.5e7, "-2.50e7"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert units.number(value) == text
