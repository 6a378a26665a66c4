"""What decides which operations run; sizes are not among it.

Two configs of one structure have the same closed forms, with other numbers in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from workbench.estimate.network.lengths import lengths_of
from workbench.estimate.network.lora import LoraStructure, lora_structure_of
from workbench.estimate.network.loss import chunk_tokens
from workbench.estimate.network.mla_structure import MlaStructure, mla_structure_of
from workbench.estimate.network.moe_structure import MoeStructure, moe_structure_of
from workbench.estimate.network.mtp_structure import MtpStructure, mtp_structure_of
from workbench.estimate.network.options import PLAIN, Options, options_of

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.estimate.network.offload import Offload

Recompute = Literal["none", "block", "selective"]

Weights = Literal["fp32", "narrow", "half"]
"""How weights are kept: all in fp32; matrices in 16 bits (`training/optim/narrow.py`); all in 16
bits, as DeepSpeed does with fp32 copies elsewhere."""


class Structure(NamedTuple):
    """The choices of a network and of its training that change what is allocated.

    Attributes:
        cpu: Whether CPU kernels run: some of them are steps where CUDA has one kernel.
        width: Bytes of the compute dtype.
        norm: Kind of the norms.
        qk_norm: Whether queries and keys are normalised.
        rotary: Whether heads are turned.
        partial_rotary: Whether only a part of their features is.
        interleaved: Whether neighbouring features form a pair.
        attention_bias: Whether the projections into attention have biases.
        attention_out_bias: Whether the one out of it has.
        residual: How the two halves of a block are added.
        act: Kind of the feed-forward network.
        mlp_bias: Whether its matrices have biases.
        learned_positions: Whether positions have an embedding.
        tied: Whether the output matrix is the embedding.
        head_bias: Whether logits have a bias.
        recompute: What the backward pass computes again.
        chunks: 1, 2 or 3: how the loss goes through its tokens; 3 stands for more.
        sharded: Whether the weights of blocks are fetched, in the compute dtype.
        blocked_attention: Whether a CPU attends in blocks (`ava_kernels.attention`).
        several_heads: Whether there is more than one query head.
        several_groups: Whether there is more than one key head.
        weights: How weights are kept between steps.
        family: ``decoder``, ``bert`` or ``t5``.
        options: Masks, dropout, implementations, heads.
        moe: The mixture of experts; None in a dense network.
        mla: Latent attention; None with the ordinary one.
        lora: The adapters; None where every weight learns.
        mtp: The heads for later tokens; None where there are none.
        fetched: Bytes of the format in which FSDP fetches weights; 0 is the compute dtype.
        offloads: Whether activations wait in host memory.
        offload: Which of them, for the sizes at hand.
        follows: Whether an engine fetches the weights of each module.
    """

    cpu: bool
    width: int
    norm: str
    qk_norm: bool
    rotary: bool
    partial_rotary: bool
    interleaved: bool
    attention_bias: bool
    attention_out_bias: bool
    residual: str
    act: str
    mlp_bias: bool
    learned_positions: bool
    tied: bool
    head_bias: bool
    recompute: Recompute
    chunks: int
    sharded: bool = False
    blocked_attention: bool = False
    several_heads: bool = True
    several_groups: bool = True
    weights: Weights = "fp32"
    family: str = "decoder"
    options: Options = PLAIN
    moe: MoeStructure | None = None
    mla: MlaStructure | None = None
    lora: LoraStructure | None = None
    mtp: MtpStructure | None = None
    fetched: int = 0
    offloads: bool = False
    offload: Offload | None = None
    follows: bool = False

    @property
    def weight_width(self) -> int:
        """Bytes of a block's weight while it computes."""
        return (self.fetched or self.width) if self.sharded else 4

    @property
    def table_width(self) -> int:
        """Bytes of a number that is looked up in a table of weights."""
        return 2 if self.weights == "half" else 4

    @property
    def fused_rms_norm(self) -> bool:
        """Whether the RMS norm is one kernel."""
        return not self.cpu


def structure_of(
    config: Config,
    *,
    cpu: bool,
    width: int,
    recompute: Recompute,
    sharded: bool = False,
    weights: Weights = "fp32",
    fetched: int = 0,
    follows: bool = False,
) -> Structure:
    """The structure of a config.

    Args:
        config: The config.
        cpu: Whether CPU kernels run.
        width: Bytes of the compute dtype.
        recompute: What the backward pass computes again.
        sharded: Whether FSDP fetches the weights.
        weights: How they are kept between steps.
        fetched: Bytes of the format in which FSDP fetches weights; 0 is the compute dtype.
        follows: Whether an engine fetches the weights of each module.
    """
    model = config.model
    out_bias = model.attention_out_bias
    lengths = lengths_of(config)
    tokens = config.training.batch_size * lengths.written
    options = options_of(config, lengths, cpu=cpu)
    heads, groups = model.num_attention_heads, model.num_key_value_heads
    return Structure(
        cpu=cpu,
        width=width,
        norm=model.norm_type,
        qk_norm=model.qk_norm,
        rotary=model.position_embedding_type == "rope" and model.model_type != "t5",
        partial_rotary=model.partial_rotary_factor != 1 and not model.mla.enabled,
        interleaved=model.rope_interleaved,
        attention_bias=model.attention_bias,
        attention_out_bias=model.attention_bias if out_bias is None else out_bias,
        residual=model.residual_type,
        act=model.hidden_act,
        mlp_bias=model.mlp_bias,
        learned_positions=model.position_embedding_type == "learned",
        tied=model.tie_word_embeddings,
        head_bias=model.lm_head_bias
        if model.model_type == "decoder"
        else model.model_type == "bert",
        recompute=recompute,
        chunks=min(3, -(-tokens // chunk_tokens(lengths.outputs))),
        sharded=sharded,
        blocked_attention=cpu and _blocked(config, options, width),
        several_heads=heads > 1,
        several_groups=(heads if model.mla.enabled else groups or heads) > 1,
        weights=weights,
        fetched=fetched if sharded else 0,
        offloads=_offloads(config, sharded=sharded),
        follows=follows,
        family=model.model_type,
        options=options,
        lora=lora_structure_of(config, cpu=cpu),
        mtp=mtp_structure_of(
            config,
            lengths.written,
            chunk_tokens(lengths.outputs),
            fetched=(fetched or width) if sharded else 0,
            cpu=cpu,
        ),
        mla=mla_structure_of(model, width=width),
        moe=moe_structure_of(config, tokens, cpu=cpu, width=width),
    )


def _offloads(config: Config, *, sharded: bool) -> bool:
    """Whether activations wait in host memory."""
    if config.deepspeed.enabled:
        kept = config.deepspeed.activation_checkpointing.cpu_checkpointing
        return kept and config.training.gradient_checkpointing
    return sharded and config.fsdp.offload_activations


def _blocked(config: Config, options: Options, width: int) -> bool:
    """Whether `ava_kernels.causal_attention` takes its blocks on a CPU."""
    length = config.data.max_length
    if config.model.model_type != "decoder" or options.implementation != "auto":
        return False
    if options.attention_dropout or options.alibi or config.training.mixed_precision == "fp16":
        return False
    return length <= 1024 and (width == 2 or length >= 128)
