"""Records that are left out for what they are: too short, or repeating themselves.

Shapes: T tokens of a record, its separator not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.data.reading import Skipped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.config.schema import DataConfig

RUN = 16
"""Tokens that have to recur together before they count as repetition: in bytes three words, in a
trained vocabulary a sentence. A language repeats its words; repeated sentences are boilerplate."""


@dataclass
class _Left:
    count: int = 0
    first: str = ""


@dataclass
class Filters:
    """The filters of a config, and how many records each left out.

    Attributes:
        config: Says which are on.
        seen: Records that were looked at.
    """

    config: DataConfig
    seen: int = 0
    _left: dict[str, _Left] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether any is on."""
        data = self.config
        return bool(
            data.min_sequence_length
            or data.max_consecutive_repeats is not None
            or data.max_sequence_repetition_rate is not None
        )

    def keeps(self, ids_T: NDArray[Any], name: str) -> bool:
        """Whether a record stays; counts it when it does not."""
        self.seen += 1
        why = self.why_not(ids_T)
        if why is not None:
            left = self._left.setdefault(why, _Left(first=name))
            left.count += 1
        return why is None

    @property
    def skipped(self) -> list[Skipped]:
        """One line for each filter that left something out."""
        return [
            Skipped(why, f"left out {left.count:,} of {self.seen:,} records, first {left.first}")
            for why, left in self._left.items()
        ]

    def why_not(self, ids_T: NDArray[Any]) -> str | None:
        """The filter that leaves a record out, or None."""
        data = self.config
        if len(ids_T) < data.min_sequence_length:
            return f"data.min_sequence_length {data.min_sequence_length}"
        if (most := data.max_consecutive_repeats) is not None and longest_run(ids_T) > most:
            return f"data.max_consecutive_repeats {most}"
        if (rate := data.max_sequence_repetition_rate) is not None and (
            repetition_rate(ids_T) > rate
        ):
            return f"data.max_sequence_repetition_rate {rate:g}"
        return None


def longest_run(ids_T: NDArray[Any]) -> int:
    """The length of the longest run of one token."""
    import numpy as np

    if not len(ids_T):
        return 0
    breaks = np.flatnonzero(ids_T[1:] != ids_T[:-1]) + 1
    return int(np.diff(breaks, prepend=0, append=len(ids_T)).max())


def repetition_rate(ids_T: NDArray[Any]) -> float:
    """The share of runs of `RUN` tokens that stood in the record before; 0 in a shorter record."""
    import numpy as np

    runs = len(ids_T) - RUN + 1
    if runs < 2:
        return 0.0
    # A polynomial in an odd 64-bit number, modulo 2^64: two different runs meet by chance once in
    # some 10^18 pairs.
    factor, sums = np.uint64(0x9E3779B97F4A7C15), np.zeros(runs, dtype=np.uint64)
    mixed = (ids_T.astype(np.uint64) + np.uint64(1)) * np.uint64(0xD1B54A32D192ED03)
    mixed ^= mixed >> np.uint64(29)
    for place in range(RUN):
        sums = sums * factor + mixed[place : place + runs]
    return 1.0 - len(np.unique(sums)) / runs
