"""The ledger of a bert: masked language modelling, and a class for each text."""

from __future__ import annotations

import pytest

from tests.amounts import seeds
from tests.estimate.in_turn import agree


def test_a_sample_of_berts() -> None:
    agree("bert", range(6))


@pytest.mark.slow
def test_two_hundred_berts() -> None:
    agree("bert", seeds(200))
