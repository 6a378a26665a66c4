"""`training.gradient_health.anomaly_detection`: the operation that first gave no number."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from workbench.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

_RETURNED = re.compile(r"Function '(\w+)' returned nan values in its (\d+)th output")
_OURS = re.compile(r'File ".*?(workbench/(?:models|training)/\S+|ava_kernels/\S+)", line (\d+)')


@contextmanager
def named_anomalies(step: int, *, enabled: bool) -> Iterator[None]:
    """While it is open, a backward pass that gives NaN stops with the name of the operation.

    Args:
        step: For the message.
        enabled: False: nothing is watched, and nothing is slower.

    Raises:
        TrainingError: An operation gave NaN in its backward pass.
    """
    if not enabled:
        yield
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            with torch.autograd.set_detect_anomaly(mode=True):
                yield
        except RuntimeError as error:
            match = _RETURNED.search(str(error))
            if match is None:
                raise
            raise _named(
                step, match[1], int(match[2]), [str(each.message) for each in told]
            ) from None


def _named(step: int, function: str, output: int, told: list[str]) -> TrainingError:
    places = [found for text in told for found in _OURS.findall(text)]
    where = f"; its forward pass is {places[-1][0]}, line {places[-1][1]}" if places else ""
    return TrainingError(
        f"the backward pass of {function.removesuffix('Backward0')} gave numbers that are none, "
        f"at step {step:,}; training stopped before they reached the weights",
        where=f"{function}, output {output}{where}",
        why="training.gradient_health.anomaly_detection looked for the first such operation",
        fix="a lower --training.learning_rate helps most often; a division or root in that "
        "operation may have met a zero",
    )
