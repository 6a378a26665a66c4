"""A hundred steps of every family are, number by number, what they were.

On the machine that recorded them they are equal to the last bit. On another processor the same
libraries choose other kernels, which add up in another order: there they are compared to 1e-4, and
the output says so. `golden/curves.py` says how to record them again.
"""

from __future__ import annotations

import json
import math
import warnings

import pytest

from tests.training.golden.curves import FAMILIES, STEPS, losses, machine, path_of


@pytest.mark.filterwarnings("always:golden losses")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_losses_are_what_they_were(family: str) -> None:
    told = json.loads(path_of(family).read_text())
    recorded, here = told["machine"], machine()
    assert recorded["torch"] == here["torch"], "another torch: record the curves again"
    found = losses(family)
    if recorded == here:
        assert found == told["losses"]
        return
    other = ", ".join(name for name in here if here[name] != recorded[name])
    warnings.warn(
        f"golden losses were recorded on another machine ({other}): compared to 1e-4, not exactly",
        stacklevel=1,
    )
    assert found == pytest.approx(told["losses"], rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_they_are_worth_keeping(family: str) -> None:
    curve = json.loads(path_of(family).read_text())["losses"]
    assert len(curve) == STEPS
    assert curve[0] == pytest.approx(math.log(64), abs=0.2)
    assert sum(curve[-10:]) / 10 < curve[0] - 0.5, "it has learned something"


def test_every_file_is_of_a_family() -> None:
    assert {path.stem for path in path_of("x").parent.glob("*.json")} == set(FAMILIES)
