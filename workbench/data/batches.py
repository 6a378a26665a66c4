"""What the trainer asks of data, whatever it is made of.

`workbench.data.opening.open_source(config, data_parallel=N)` opens a run's data: a `Source`, the
held-out micro-batches, the tokenizer, and the fingerprint that a resumed run must find again.

Shapes: B sequences of a micro-batch, T positions, S positions of an encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IGNORE = -100
"""The target of a position where nothing is to be predicted."""


class MicroBatch(NamedTuple):
    """The sequences that go through the model at once on one device."""

    tokens_BT: NDArray[np.int64]
    targets_BT: NDArray[np.int64]
    """The id to predict at each position; `IGNORE` where there is none."""
    documents_BT: NDArray[np.int64] | None = None
    """The document of each position, which attention does not leave; -1 is padding."""
    encoder_tokens_BS: NDArray[np.int64] | None = None
    encoder_documents_BS: NDArray[np.int64] | None = None
    ids: tuple[str, ...] = ()
    """Where each sequence comes from, in words, for the message about a step that went wrong."""

    @property
    def targets(self) -> int:
        """How many tokens are to be predicted."""
        return int((self.targets_BT != IGNORE).sum())


class Source(Protocol):
    """The micro-batches of a run.

    The n-th sequence of a run is the same however the steps are divided: global micro-batch g of a
    step holds sequences ``g * batch_size`` and following, and rank r of N takes the micro-batches
    ``m * N + r``. So 1 x 8, 8 x 1 and 2 devices x 4 are one training.
    """

    def batch(self, step: int, micro: int) -> MicroBatch:
        """A global micro-batch.

        Args:
            step: The optimizer step, from 1.
            micro: The micro-batch of the step over all devices, from 0.

        Raises:
            DataError: The text can no longer be read.
        """

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beside the step, JSON-ready; empty for a pure function of it."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what ``state`` returned."""
