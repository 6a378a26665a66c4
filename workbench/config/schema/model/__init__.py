"""`model`: the shape of the network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key
from workbench.config.schema.model.episodic_memory import EpisodicMemoryConfig
from workbench.config.schema.model.mla import MlaConfig
from workbench.config.schema.model.moe import MoeConfig
from workbench.config.schema.model.moe_balancing import MoeBalancingConfig
from workbench.config.schema.model.rope_scaling import RopeScalingConfig


class ModelConfig(Section):
    """The network: widths, depth, experts, and the parts it is made of."""

    model_type: Literal["decoder", "bert", "t5"] = key(
        "decoder",
        "Family of the network. A decoder predicts the next token; bert fills in hidden tokens; t5 "
        "reads a text with one half and writes another with the other half.",
        changes="what the model can learn to do",
    )
    head: Literal["language", "classification", "token_classification"] = key(
        "language",
        "What is predicted: hidden tokens, one class per sequence, or one class per token.",
        changes="the output matrix; what the targets are",
        needs="model.model_type=bert",
    )
    num_labels: Whole = key(
        2,
        "Number of classes of a classifying head.",
        unit="classes",
        ignored="with head: language",
        needs="model.model_type=bert",
        ge=2,
    )
    num_encoder_layers: Whole | None = key(
        None,
        "Blocks of the half that reads; null means as many as num_layers, which then counts the "
        "blocks of the half that writes.",
        unit="blocks",
        changes="parameters, memory and time of the encoder",
        needs="model.model_type=t5",
        ge=1,
    )
    pretrained_path: str | None = key(
        None,
        "Weights to start from: a folder of a Hugging Face model in safetensors, or one such file. "
        "model has to describe the same network. null starts from random numbers.",
        changes="what the model knows before the first step",
    )
    hidden_size: Whole = key(
        256,
        "Width of the residual stream: the length of the vector that stands for one token.",
        unit="features",
        changes="parameters, memory and compute grow with its square",
        ge=8,
    )
    num_layers: Whole = key(
        6,
        "Number of blocks (attention, then feed-forward) applied one after the other.",
        unit="blocks",
        changes="parameters, memory and time grow in proportion",
        ge=1,
    )
    num_attention_heads: Whole = key(
        4,
        "Number of attention heads; each looks at the sequence in its own way.",
        unit="heads",
        changes="head width is hidden_size / num_attention_heads",
        ge=1,
    )
    num_key_value_heads: Whole | None = key(
        None,
        "Number of key and value heads (grouped-query attention); null means one per head.",
        unit="heads",
        changes="fewer heads shrink the attention weights and the inference cache",
        ge=1,
    )
    head_dim: Whole | None = key(
        None,
        "Width of one head; null means hidden_size / num_attention_heads.",
        unit="features",
        ge=2,
    )
    intermediate_size: Whole = key(
        683,
        "Inner width of the feed-forward network (of each expert when there are experts).",
        unit="features",
        changes="most of the parameters of a block",
        ge=1,
    )
    vocab_size: Whole = key(
        256,
        "Number of different tokens. The byte tokenizer has exactly 256.",
        unit="tokens",
        changes="embedding and output matrices; the logits are batch x sequence x vocab_size",
        ge=2,
    )
    max_position_embeddings: Whole = key(
        1024,
        "Longest sequence that the model is meant for.",
        unit="tokens",
        changes="limits data.max_length",
        ge=1,
    )
    hidden_act: Literal["swiglu", "geglu", "gelu", "gelu_new", "relu", "relu_squared", "silu"] = (
        key(
            "swiglu",
            "Feed-forward kind: swiglu and geglu have three matrices and a gate, the others the "
            "classic two. gelu_new is the approximation by tanh that GPT-2 was trained with.",
            changes="parameters of the feed-forward by 3:2 at equal intermediate_size",
        )
    )
    norm_type: Literal["rmsnorm", "layernorm"] = key(
        "rmsnorm",
        "Normalisation before attention and feed-forward; layernorm also subtracts the mean and "
        "has a bias.",
    )
    layer_norm_eps: float = key(
        1e-5, "Small number added to the variance so that nothing divides by zero.", gt=0.0
    )
    attention_bias: bool = key(False, "Adds a bias to the four attention projections.")
    attention_out_bias: bool | None = key(
        None,
        "Whether the fourth attention projection, back to the residual stream, has a bias; null "
        "follows attention_bias. Qwen2 has biases on the other three only.",
    )
    qk_norm: bool = key(
        False,
        "Normalises each query and key head to unit mean square before rotary positions, as Qwen3 "
        "does.",
        changes="stability: attention scores cannot grow without bound",
    )
    residual_type: Literal["sequential", "parallel", "parallel_shared_norm"] = key(
        "sequential",
        "Where the feed-forward reads: after attention was added (sequential), or beside "
        "attention, with a norm of its own (parallel, GPT-NeoX) or the same norm "
        "(parallel_shared_norm, GPT-J).",
        changes="quality a little, and how much can run at once",
    )
    mlp_bias: bool = key(False, "Adds a bias to the feed-forward projections.")
    rope_theta: float = key(
        10000.0,
        "Base of the rotary position angles; larger values suit longer sequences.",
        gt=0.0,
    )
    position_embedding_type: Literal["rope", "alibi", "learned", "none"] = key(
        "rope",
        "How the model knows the order of the tokens: rope turns features by angles, alibi lowers "
        "the attention to far tokens, learned adds a vector per position.",
        changes="how well it copes with sequences longer than those it was trained on",
    )
    rope_interleaved: bool = key(
        False,
        "Rotary positions turn neighbouring features as a pair, as GPT-J does, and not features "
        "half a head apart, as Llama does.",
        changes="which published weights fit; nothing for a model trained from scratch",
        ignored="unless position_embedding_type is rope",
    )
    partial_rotary_factor: float = key(
        1.0,
        "Share of each head's features that the rotary positions turn; the rest knows no order.",
        ignored="unless position_embedding_type is rope",
        gt=0.0,
        le=1.0,
    )
    sliding_window: Whole | None = key(
        None,
        "How many tokens a token may look at, itself and those just before it; null means all from "
        "the beginning of the sequence.",
        unit="tokens",
        changes="what a layer can look up; the compute does not shrink here",
        ge=1,
    )
    attention_implementation: Literal["auto", "eager", "sdpa", "flash"] = key(
        "auto",
        "Which code computes attention. All give the same result; flash never stores the matrix of "
        "sequence x sequence, eager does; sdpa is PyTorch's choice, auto the fastest known.",
        changes="speed and activation memory",
    )
    tie_word_embeddings: bool = key(
        True,
        "Uses one matrix for the input embedding and the output projection.",
        changes="saves vocab_size x hidden_size parameters",
    )
    lm_head_bias: bool = key(
        False,
        "Adds a bias to the logits, one number per token of the vocabulary, as GPT-J does.",
    )
    attention_dropout: float = key(
        0.0,
        "Probability that an attention weight is zeroed during training.",
        changes="regularisation; slower attention kernels",
        ge=0.0,
        lt=1.0,
    )
    hidden_dropout: float = key(
        0.0,
        "Probability that a feature is zeroed where a block adds to the residual stream.",
        changes="regularisation",
        ge=0.0,
        lt=1.0,
    )
    embedding_dropout: float = key(
        0.0,
        "Probability that a feature of the token embedding is zeroed during training.",
        changes="regularisation",
        ge=0.0,
        lt=1.0,
    )
    initializer_range: float = key(
        0.02, "Standard deviation of the initial weights.", changes="early training", gt=0.0
    )
    num_experts: Whole = key(
        1,
        "Number of expert feed-forward networks per block; 1 is an ordinary dense block.",
        unit="experts",
        changes="parameters grow in proportion; compute only with num_experts_per_token",
        ge=1,
    )
    num_experts_per_token: Whole = key(
        1,
        "How many experts each token visits (top-k).",
        unit="experts",
        changes="compute per token",
        ignored="with num_experts: 1",
        ge=1,
    )
    router_type: Literal[
        "switch", "topk", "gshard", "deepseek", "expert_choice", "base", "hash", "stochastic"
    ] = key(
        "topk",
        "How tokens find experts: switch sends each to its best expert and scales by that "
        "probability; topk sends each to the best k and renormalises their probabilities.",
        ignored="with num_experts: 1",
        unhonoured_values={
            "gshard": "its random second expert is not built; topk with "
            "num_experts_per_token: 2 is the nearest",
            "deepseek": "write its router as topk with moe.score_function: sigmoid and "
            "moe_balancing.method: loss_free",
            **dict.fromkeys(("expert_choice", "base", "hash", "stochastic"), NOT_BUILT),
        },
    )
    expert_capacity_factor: float | None = key(
        None,
        "Room per expert, as a multiple of its fair share of tokens; tokens beyond it skip the "
        "experts. null never drops a token.",
        changes="memory and speed against quality",
        ignored="with num_experts: 1",
        gt=0.0,
    )
    router_aux_loss_coef: float = key(
        0.01,
        "Weight of the loss that keeps experts equally busy (Switch Transformer, equation 4).",
        changes="balance of the experts",
        ignored="with num_experts: 1",
        ge=0.0,
    )
    router_z_loss_coef: float = key(
        0.0,
        "Weight of the loss that keeps router logits small (ST-MoE, equation 5).",
        changes="stability of the router",
        ignored="with num_experts: 1",
        ge=0.0,
    )
    router_jitter_noise: float = key(
        0.0,
        "Multiplies the router's input by a random factor in 1 +/- this while training.",
        changes="exploration of experts",
        ignored="with num_experts: 1",
        ge=0.0,
        lt=1.0,
    )
    expert_dropout: float = key(
        0.0,
        "Probability that a feature of an expert's output is zeroed during training.",
        changes="regularisation of the experts",
        ignored="with num_experts: 1",
        ge=0.0,
        lt=1.0,
    )
    use_moh: bool = key(
        False,
        "Mixture of heads: a small router weighs the attention heads for each token "
        "(arXiv 2410.11842).",
        changes="a few parameters per layer; no saving in training, all heads are computed",
        unhonoured=NOT_BUILT,
    )
    use_moa: bool = key(
        False,
        "Mixture of activations: a small router blends several activation functions in each "
        "feed-forward.",
        changes="a few parameters and several elementwise passes per layer",
        unhonoured=NOT_BUILT,
    )
    use_cross_attention: bool = key(
        False,
        "Adds layers in which the tokens attend to a second input, such as retrieved passages.",
        changes="parameters and compute of num_cross_attention_layers extra layers",
        unhonoured=NOT_BUILT,
    )
    num_cross_attention_layers: Whole = key(
        0,
        "Number of layers that get cross-attention, spread evenly over the depth.",
        unit="layers",
        changes="parameters and compute",
        needs="model.use_cross_attention",
        unhonoured=NOT_BUILT,
        ge=0,
    )
    use_episodic_memory: bool = key(
        False,
        "Keeps some past training sequences and mixes them into later batches, against forgetting.",
        changes="host memory; what the model remembers of earlier data",
        unhonoured=NOT_BUILT,
    )
    rope_scaling: RopeScalingConfig = Field(default_factory=RopeScalingConfig)
    mla: MlaConfig = Field(default_factory=MlaConfig)
    moe: MoeConfig = Field(default_factory=MoeConfig)
    moe_balancing: MoeBalancingConfig = Field(default_factory=MoeBalancingConfig)
    episodic_memory: EpisodicMemoryConfig = Field(default_factory=EpisodicMemoryConfig)
