"""Masks, dropout, kernels of attention, heads, losses: what else decides which operations run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.tape.ops_attention import Layout

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.estimate.network.lengths import Lengths

_ROW = 8
"""Elements that a row of an added mask is filled up to on CUDA."""


class Special(NamedTuple):
    """`workbench.training.token_losses.TokenLoss`.

    Attributes:
        smoothed: Whether targets are spread over the vocabulary.
    """

    smoothed: bool


class Options(NamedTuple):
    """Masks, dropout, implementations, heads.

    Attributes:
        layout: What decides whether heads are copied.
        head: What a bert predicts.
        implementation: ``auto``, ``eager`` or ``sdpa``, which ``flash`` is too.
        attention_dropout: Whether attention weights are dropped.
        hidden_dropout: Whether what a block adds is.
        embedding_dropout: Whether embeddings are.
        window: Whether a token sees only the last ones.
        alibi: Whether scores sink with the distance.
        documents: Whether the document of each position is told.
        padded: Whether rows of masks are filled up on CUDA: of what is written, of what is read.
        smoothing: Whether the targets of the plain loss are spread.
        special: Another loss that is minimised; None: the plain one.
    """

    layout: Layout
    head: str = "language"
    implementation: str = "auto"
    attention_dropout: bool = False
    hidden_dropout: bool = False
    embedding_dropout: bool = False
    window: bool = False
    alibi: bool = False
    documents: bool = False
    padded: tuple[bool, bool] = (False, False)
    smoothing: bool = False
    special: Special | None = None

    @property
    def masked(self) -> bool:
        """Whether a decoder's or a bert's sight is a matrix."""
        return self.window or self.alibi or self.documents

    @property
    def drops(self) -> bool:
        """Whether anything is dropped."""
        return self.attention_dropout or self.hidden_dropout or self.embedding_dropout


PLAIN = Options(Layout(False, True, True, True, False))


def options_of(config: Config, lengths: Lengths, *, cpu: bool) -> Options:
    """The options of a config."""
    model, training = config.model, config.training
    heads = model.num_attention_heads
    own = model.model_type == "t5" or model.mla.enabled
    groups = heads if own else model.num_key_value_heads or heads
    window = model.sliding_window
    losses = training.losses
    special = None
    if losses.focal_loss or losses.entropy_regularization or losses.initial_temperature != 1:
        special = Special(training.label_smoothing > 0)
    chosen = model.attention_implementation
    return Options(
        layout=Layout(cpu, training.batch_size > 1, heads > 1, groups > 1, grouped=groups < heads),
        head=model.head if model.model_type == "bert" else "language",
        implementation="sdpa" if chosen == "flash" else chosen,
        attention_dropout=model.attention_dropout > 0,
        hidden_dropout=model.hidden_dropout > 0,
        embedding_dropout=model.embedding_dropout > 0,
        window=window is not None and window < lengths.written,
        alibi=model.position_embedding_type == "alibi",
        documents=lengths.documents,
        padded=(lengths.written % _ROW > 0, lengths.read % _ROW > 0),
        smoothing=training.label_smoothing > 0,
        special=special,
    )
