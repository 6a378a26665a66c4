"""`workbench.training.token_losses` on paper: losses that autograd differentiates chunk by chunk.

Shapes: C tokens of a chunk, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.estimate.network.options import Special
    from workbench.estimate.tape.tensor import Tape, Tensor


def token_loss(tape: Tape, logits: Tensor, special: Special, *, wants: bool) -> Tensor | None:
    """The gradient of the loss by the logits of a chunk; the logits stay with the caller.

    Args:
        tape: The tape.
        logits: The logits.
        special: Which loss.
        wants: Whether there is a gradient at all.
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
    if not wants:
        return None
    # From the loss back to the logits: the three paths to the log-probabilities add up in place.
    spread = tape.new(whole, 4, "gradient of the spread targets") if special.smoothed else None
    total = tape.new(whole, 4, "gradient of the log-probabilities")
    del spread
    of_shares = tape.new(whole, 4, "gradient of the probabilities")
    entropy = tape.new(whole, 4, "gradient of the entropy's logs")
    del entropy
    entropy = tape.new(whole, 4, "gradient of the exponential")
    del entropy, of_shares, shares
    of_sharp = tape.new(whole, 4, "gradient of the logits over the temperature")
    del total, logs
    found = tape.new(whole, 4, "gradient of the logits")
    del of_sharp
    return found
