"""`workbench.training.token_losses` on paper: losses that autograd differentiates chunk by chunk.

Shapes: C tokens of a chunk, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape.tensor import Tensor

if TYPE_CHECKING:
    from workbench.estimate.network.options import Special
    from workbench.estimate.tape.tensor import Tape


def token_loss(tape: Tape, logits: Tensor, special: Special) -> Tensor:
    """The gradient of the loss by the logits of a chunk; the logits stay with the caller.

    Forwards the probabilities, their logs and, for a moment, the product of both; backwards the
    gradients of the same, of which no more than four matrices exist at once beside the logits.
    """
    whole = logits.shape
    plain = tape.new(whole, 4, "log-probabilities of the plain loss")
    del plain
    sharp = tape.new(whole, 4, "logits over the temperature")
    logs = tape.new(whole, 4, "log-probabilities of a chunk")
    del sharp
    shares = tape.new(whole, 4, "probabilities of a chunk")
    product = tape.new(whole, 4, "probabilities times their logs")
    del product
    return _backward(tape, logs, shares, special)


def _backward(tape: Tape, logs: Tensor, shares: Tensor, special: Special) -> Tensor:
    """From the loss back to the logits."""
    whole = logs.shape
    total = tape.new(whole, 4, "gradient of the log-probabilities")
    del shares, special, total
    return tape.new(whole, 4, "gradient of the logits")
