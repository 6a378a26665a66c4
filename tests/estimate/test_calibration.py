"""What short runs say about a machine: two constants, and the speed of what is like them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.estimate.test_fit import plan
from workbench.estimate.calibration import Row, constants, efficiency, flops_reached, rows_of
from workbench.estimate.estimate import Estimate
from workbench.estimate.flops import flops_of
from workbench.hardware.devices import device

GPU = device("h100_80gb")
CPU = replace(device("cpu"), memory_bytes=2**34, precisions=frozenset({"fp32"}))


def row(rate: float, per_token: float = 1e9, **changes: Any) -> Row:
    return Row("h100_80gb", "bf16", rate, per_token, 300 * 2**20)._replace(**changes)


def test_constants_are_medians_of_the_device_s_own_rows() -> None:
    rows = [row(1e14), row(3e14), row(2e14), row(9e14, hardware="t4"), row(1e9, probe=True)]
    found = constants(rows, GPU)
    assert found.reached == {"bf16": 2e14}
    assert found.context == 300 * 2**20
    assert found.runs == 4
    assert constants([], GPU).context is None


def test_the_runs_that_are_most_alike_tell_the_speed() -> None:
    config = plan()
    size = flops_of(config).per_token
    rows = [row(4e14, size), row(4e14, size * 1.1), row(4e14, size / 1.1), row(1e12, size / 1000)]
    hardware, found = efficiency(rows, GPU, config)
    assert hardware == GPU
    assert found is not None
    assert found.mfu == pytest.approx(4e14 / GPU.peak_flops["bf16"])
    speed = Estimate.of(config, GPU, measured=found).speed
    assert speed is not None
    assert speed.mfu == pytest.approx(found.mfu, rel=0.05)


def test_of_runs_alike_the_latest_tell_the_speed_and_their_differences_how_sure_it_is() -> None:
    config = plan()
    size = flops_of(config).per_token
    busy = [row(1e14, size)] * 5
    _, found = efficiency([*busy, *[row(4e14, size)] * 3], GPU, config)
    assert found is not None
    assert found.mfu == pytest.approx(4e14 / GPU.peak_flops["bf16"])
    narrow = found.spread
    _, found = efficiency([*busy, row(4e14, size)], GPU, config)
    assert found is not None
    assert found.spread == pytest.approx(0.5)
    assert narrow < 0.5


def test_a_processor_without_a_data_sheet_has_the_speed_that_was_measured() -> None:
    config = plan(training={"mixed_precision": "no"})
    assert Estimate.of(config, CPU).speed is None
    rate, per_token = flops_reached(config, 7.5, cpu=True)
    rows = [Row("cpu", "fp32", rate, per_token, None)]
    hardware, found = efficiency(rows, CPU, config)
    speed = Estimate.of(config, hardware, measured=found).speed
    assert speed is not None
    assert speed.step_seconds.likely == pytest.approx(7.5)
    assert speed.step_seconds.low < 7.5 < speed.step_seconds.high
    assert any("measured on this machine" in each for each in speed.assumptions)


def test_other_formats_and_nothing_measured() -> None:
    assert efficiency([row(1e14, precision="fp32")], GPU, plan()) == (GPU, None)
    assert efficiency([], GPU, plan()) == (GPU, None)


def test_rows_of_another_version_are_left_out() -> None:
    good = row(1e14)._asdict()
    broken: list[dict[str, Any]] = [{}, good | {"flops_per_second": "x"}, good | {"context": []}]
    broken += [good | {"flops_per_second": 0}]
    assert rows_of([*broken, good, good | {"new": 1}]) == [row(1e14), row(1e14)]
