"""The loss on text that is never trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from ava_kernels import linear_cross_entropy

from workbench.data.order import rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.models.decoder import Decoder


@torch.no_grad()
def validation_loss(
    model: Decoder,
    tokens: NDArray[Any],
    starts: list[int],
    *,
    length: int,
    batch_size: int,
    device: torch.device,
) -> float:
    """The mean loss in nats per token over the sequences that begin at ``starts``.

    Dropout, jitter and capacity are off, and no auxiliary loss is added.
    """
    was_training = model.training
    model.eval()
    total = torch.zeros((), device=device)
    for first in range(0, len(starts), batch_size):
        cut = rows(tokens, starts[first : first + batch_size], length)
        inputs_BT, targets_BT = (torch.from_numpy(each).to(device) for each in cut)
        hidden_BTD = model(inputs_BT).hidden_BTD
        total += linear_cross_entropy(
            hidden_BTD.flatten(0, 1), model.output_weight_VD, targets_BT.flatten()
        )
    model.train(was_training)
    return total.item() / (len(starts) * length)
