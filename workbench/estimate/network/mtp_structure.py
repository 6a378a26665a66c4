"""What of the heads for later tokens decides which operations run, and the symbol of their size."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.config.linears import has_experts
from workbench.estimate.network.mtp_fetch import Travels, travels_of

if TYPE_CHECKING:
    from workbench.config.schema import Config

MTP_MEANINGS = {"HI": "training.mtp.head_intermediate_size, or hidden_size"}


class MtpStructure(NamedTuple):
    """The heads.

    Attributes:
        chunks: For each distance 1, 2 or 3: how its loss goes through its tokens.
        kind: ``linear``, ``mlp`` or ``block``.
        dropout: Whether their results are dropped.
        routed: Whether their blocks have experts.
        several: Whether there are several sequences: then what is left of each is copied.
        weighted: Whether the ordinary loss has a weight.
        travels: How FSDP moves them; None with another engine.
    """

    chunks: tuple[int, ...]
    kind: str
    dropout: bool
    routed: bool
    several: bool
    weighted: bool
    travels: Travels | None = None


def mtp_structure_of(
    config: Config, length: int, chunk: int, *, fetched: int, cpu: bool
) -> MtpStructure | None:
    """The heads of a config; None where there are none.

    Args:
        config: The config.
        length: Positions.
        chunk: Tokens of a chunk of the loss.
        fetched: Bytes of the format in which FSDP fetches weights; 0 with another engine.
        cpu: Whether CPUs compute.
    """
    mtp, model = config.training.mtp, config.model
    if not mtp.enabled or model.model_type != "decoder":
        return None
    batch = config.training.batch_size
    distances = range(1, mtp.num_future_tokens + 1)
    return MtpStructure(
        chunks=tuple(min(3, -(-batch * (length - each) // chunk)) for each in distances),
        kind=mtp.head_type,
        dropout=mtp.head_dropout > 0,
        routed=has_experts(model, model.num_layers),
        several=batch > 1,
        weighted=mtp.primary_loss_weight != 1,
        travels=travels_of(config, fetched=fetched, cpu=cpu) if fetched else None,
    )
