"""What a walk through a network is told: which products there are, and what they multiply."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workbench.config.linears import Kind
    from workbench.estimate.amounts import Amount
    from workbench.estimate.passes import Layer, Pairs


class Group(NamedTuple):
    """Parts of a network that are alike (`workbench.config.linears.Group`).

    Attributes:
        kind: What they are.
        prefix: What stands before the name of a layer, with a place for the number of the part.
        places: The numbers of the parts, where that matters.
        times: How many there are.
        layers: The layers of one, by name.
    """

    kind: Kind
    prefix: str
    places: tuple[int, ...]
    times: Amount
    layers: dict[str, Layer]


class Choices(NamedTuple):
    """What decides which products there are.

    Attributes:
        family: ``decoder``, ``bert`` or ``t5``.
        layernorm: Whether norms have biases.
        residual: How the two halves of a block are added.
        gated: Whether feed-forward networks have gates.
        mlp_bias: Whether their matrices have biases.
        shared: Whether there are shared experts.
        dropout: Whether what a block adds is dropped.
        latent: Whether attention is latent.
        query_latent: Whether its queries are.
        weighed: Whether uneven experts cost.
        sequences: Whether single sequences are balanced.
        bias: Which biases learn beside adapters; None without them.
        targets: What has an adapter.
        head_dropout: Whether results of heads for later tokens are dropped.
        again: Whether blocks are computed a second time.
    """

    family: str
    layernorm: bool
    residual: str
    gated: bool
    mlp_bias: bool
    shared: bool
    dropout: bool
    latent: bool
    query_latent: bool
    weighed: bool
    sequences: bool
    bias: str | None
    targets: tuple[str, ...]
    head_dropout: bool
    again: bool


class Quantities(NamedTuple):
    """What a walk multiplies.

    Attributes:
        sequences: B.
        tokens: B T; of a t5 what its decoder writes.
        read: B S; of a t5 what its encoder reads.
        own: The pairs of self-attention.
        encoder: Those of an encoder over itself.
        across: Those of a decoder over its encoder.
        width: Of the residual stream.
        heads: Query heads.
        key: Width of a head's keys.
        value: Width of its values.
        experts: Routed experts.
        visited: Experts that a token visits.
        inner: Inner width of an expert.
        classes: Numbers that the output gives a token.
        rank: Of adapters.
        ahead: Rows of the output of each head for later tokens.
    """

    sequences: Amount
    tokens: Amount
    read: Amount
    own: Pairs
    encoder: Pairs
    across: Pairs
    width: Amount
    heads: Amount
    key: Amount
    value: Amount
    experts: Amount
    visited: Amount
    inner: Amount
    classes: Amount
    rank: Amount
    ahead: tuple[Amount, ...]
