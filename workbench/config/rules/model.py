"""Rules about the shape of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.rules.base import Problem, Repair, Subject, put, rule
from workbench.config.rules.parallel import largest_divisor
from workbench.config.size import head_width

if TYPE_CHECKING:
    from collections.abc import Iterator

_VOCABULARIES = {
    "bytes": 256,
    "gpt2": 50257,
    "gpt2-medium": 50257,
    "gpt2-large": 50257,
    "gpt2-xl": 50257,
    "openai-community/gpt2": 50257,
    "eleutherai/gpt-j-6b": 50257,
    "eleutherai/gpt-neox-20b": 50277,
    "hf-internal-testing/llama-tokenizer": 32000,
    "meta-llama/llama-2": 32000,
    "meta-llama/llama-3": 128256,
    "meta-llama/meta-llama-3": 128256,
    "mistralai/mistral-7b-v0.1": 32000,
    "mistralai/mixtral-8x7b": 32000,
    "tinyllama/": 32000,
    "qwen/qwen2.5": 151665,
    "bert-base-uncased": 30522,
    "google-bert/bert-base-uncased": 30522,
    "google-t5/t5": 32100,
    "deepseek-ai/deepseek-v3": 128815,
}
"""Tokens of well-known tokenizers: whole names, and the beginning of names of the hub."""


def tokenizer_size(name: str) -> int | None:
    """How many tokens a tokenizer has, where that is known."""
    word = name.lower()
    if word in _VOCABULARIES:
        return _VOCABULARIES[word]
    begun = (known for known in _VOCABULARIES if "/" in known and word.startswith(known))
    return next((_VOCABULARIES[known] for known in begun), None)


@rule("heads-divide-width", "error")
def heads_divide_width(subject: Subject) -> Iterator[Problem]:
    """hidden_size is a multiple of num_attention_heads unless head_dim is given."""
    model = subject.config.model
    if model.mla.enabled or model.head_dim is not None:
        return
    if model.hidden_size % model.num_attention_heads:
        heads = largest_divisor(model.hidden_size, model.num_attention_heads)
        width = -(-model.hidden_size // (2 * model.num_attention_heads)) * 2
        yield Problem(
            subject.blame("model.num_attention_heads", "model.hidden_size"),
            f"{model.num_attention_heads} attention heads do not divide a width of "
            f"{model.hidden_size}: each head needs an equal share",
            (put("model.num_attention_heads", heads), put("model.head_dim", width)),
        )


@rule("head-width-even", "error")
def head_width_even(subject: Subject) -> Iterator[Problem]:
    """The width of a head is even, because rotary positions turn pairs of features."""
    model = subject.config.model
    rope = model.position_embedding_type == "rope" and model.model_type != "t5"
    if model.mla.enabled or not rope:
        return
    if model.head_dim is None and model.hidden_size % model.num_attention_heads:
        return  # heads-divide-width says it
    width = head_width(model)
    turned = int(width * model.partial_rotary_factor)
    if turned % 2 or not turned:
        if model.partial_rotary_factor < 1:
            yield Problem(
                subject.blame("model.partial_rotary_factor"),
                f"rotary positions would turn {turned} of the {width} features of each head; they "
                "need an even number",
                (put("model.partial_rotary_factor", max(2, turned + 1) / width),),
            )
            return
        fixes = () if model.head_dim is None else (put("model.head_dim", width + 1),)
        yield Problem(
            subject.blame("model.head_dim", "model.num_attention_heads", "model.hidden_size"),
            f"each head is {width} features wide; rotary positions need an even number",
            fixes,
        )


@rule("head-width-usual", "hint")
def head_width_usual(subject: Subject) -> Iterator[Problem]:
    """The width of a head is a multiple of 8 up to 256, which fast attention kernels need."""
    model = subject.config.model
    if model.mla.enabled or (
        model.head_dim is None and model.hidden_size % model.num_attention_heads
    ):
        return
    width = head_width(model)
    if width % 2 == 0 and (width % 8 or width > 256):
        yield Problem(
            subject.blame("model.head_dim", "model.num_attention_heads", "model.hidden_size"),
            f"heads {width} features wide keep fast attention kernels away: they take multiples "
            "of 8 up to 256",
        )


@rule("kv-heads-divide-heads", "error")
def kv_heads_divide_heads(subject: Subject) -> Iterator[Problem]:
    """num_attention_heads is a multiple of num_key_value_heads."""
    model = subject.config.model
    groups = model.num_key_value_heads
    if groups is not None and model.num_attention_heads % groups:
        fewer = largest_divisor(model.num_attention_heads, groups)
        yield Problem(
            subject.blame("model.num_key_value_heads", "model.num_attention_heads"),
            f"{groups} key/value heads cannot be shared evenly by "
            f"{model.num_attention_heads} attention heads",
            (put("model.num_key_value_heads", fewer), put("model.num_key_value_heads", None)),
        )


@rule("sequence-within-positions", "error")
def sequence_within_positions(subject: Subject) -> Iterator[Problem]:
    """Sequences are no longer than model.max_position_embeddings."""
    config = subject.config
    limit = config.model.max_position_embeddings
    if config.model.position_embedding_type in ("alibi", "none"):
        return  # these know no longest sequence
    lengths = {"data.max_length": config.data.max_length}
    progressive = config.training.progressive
    if progressive.enabled and progressive.enable_sequence_scaling and progressive.final_seq_length:
        lengths["training.progressive.final_seq_length"] = progressive.final_seq_length
    for path, length in lengths.items():
        if length > limit:
            yield Problem(
                subject.blame(path, "model.max_position_embeddings"),
                f"sequences of {length} tokens do not fit a model made for {limit} positions",
                (put(path, limit), put("model.max_position_embeddings", length)),
            )
    rlhf = config.rlhf
    length = rlhf.max_prompt_length + rlhf.ppo.max_gen_length
    if rlhf.enabled and rlhf.algorithm != "dpo" and length > limit:
        fixes: list[Repair] = [put("model.max_position_embeddings", length)]
        if limit > rlhf.ppo.max_gen_length:
            fixes.insert(0, put("rlhf.max_prompt_length", limit - rlhf.ppo.max_gen_length))
        yield Problem(
            subject.blame("rlhf.max_prompt_length", "rlhf.ppo.max_gen_length", "rlhf.enabled"),
            f"a prompt of {rlhf.max_prompt_length} and an answer of {rlhf.ppo.max_gen_length} "
            f"tokens do not fit a model made for {limit} positions",
            tuple(fixes),
        )


@rule("vocabulary-holds-tokenizer", "error")
def vocabulary_holds_tokenizer(subject: Subject) -> Iterator[Problem]:
    """model.vocab_size holds every token of the tokenizer: 256 for bytes."""
    size, name = subject.config.model.vocab_size, subject.config.data.tokenizer_name
    needed = tokenizer_size(name)
    if needed is not None and size < needed:
        padded = needed if needed < 1000 else -(-needed // 64) * 64
        yield Problem(
            subject.blame("model.vocab_size", "data.tokenizer_name"),
            f"the tokenizer {name} has {needed:,} tokens, the model only {size:,}",
            (put("model.vocab_size", padded),),
        )


@rule("vocabulary-wasted", "warning")
def vocabulary_wasted(subject: Subject) -> Iterator[Problem]:
    """model.vocab_size is not much larger than the tokenizer: unused rows cost memory and time."""
    model, name = subject.config.model, subject.config.data.tokenizer_name
    needed = tokenizer_size(name)
    if needed is None or model.vocab_size <= max(needed + 256, 1.05 * needed):
        return
    unused = (model.vocab_size - needed) * model.hidden_size
    unused *= 1 if model.tie_word_embeddings else 2
    padded = needed if needed < 1000 else -(-needed // 64) * 64
    yield Problem(
        subject.blame("model.vocab_size", "data.tokenizer_name"),
        f"the tokenizer {name} has {needed:,} tokens: {unused / 1e6:,.1f} M parameters of a "
        f"vocabulary of {model.vocab_size:,} are never used",
        (put("model.vocab_size", padded),),
    )


@rule("vocabulary-multiple", "hint")
def vocabulary_multiple(subject: Subject) -> Iterator[Problem]:
    """A large vocab_size is a multiple of 8, which matrix units like."""
    size, hardware = subject.config.model.vocab_size, subject.hardware
    on_cpu = hardware is not None and hardware.kind == "cpu"
    if size > 1000 and size % 8 and not on_cpu:
        yield Problem(
            "model.vocab_size",
            f"a vocabulary of {size:,} is no multiple of 8, so the largest matrix product runs "
            "slower on a GPU; unused tokens may fill it up",
            (put("model.vocab_size", -(-size // 64) * 64),),
        )


@rule("rope-scaling-said-twice", "warning")
def rope_scaling_said_twice(subject: Subject) -> Iterator[Problem]:
    """rope_scaling has a type and a factor, or neither."""
    scaling = subject.config.model.rope_scaling
    if (scaling.type == "none") == (scaling.factor == 1.0):
        return
    if scaling.type == "none":
        yield Problem(
            "model.rope_scaling.factor",
            f"a factor of {scaling.factor:g} does nothing while rope_scaling.type is none",
            (put("model.rope_scaling.type", "yarn"), put("model.rope_scaling.factor", 1.0)),
        )
    else:
        yield Problem(
            "model.rope_scaling.type",
            f"{scaling.type} with factor 1 stretches nothing",
            (put("model.rope_scaling.factor", 2.0), put("model.rope_scaling.type", "none")),
        )


@rule("rope-frequencies-ordered", "error")
def rope_frequencies_ordered(subject: Subject) -> Iterator[Problem]:
    """llama3 scaling: low_freq_factor is below high_freq_factor."""
    scaling = subject.config.model.rope_scaling
    if scaling.type == "llama3" and scaling.low_freq_factor >= scaling.high_freq_factor:
        yield Problem(
            subject.blame(
                "model.rope_scaling.low_freq_factor", "model.rope_scaling.high_freq_factor"
            ),
            f"low_freq_factor {scaling.low_freq_factor:g} is not below high_freq_factor "
            f"{scaling.high_freq_factor:g}: the range between them is divided by its width",
            (put("model.rope_scaling.low_freq_factor", scaling.high_freq_factor / 4),),
        )


@rule("window-within-sequence", "hint")
def window_within_sequence(subject: Subject) -> Iterator[Problem]:
    """sliding_window is shorter than the sequence, or it changes nothing."""
    window, length = subject.config.model.sliding_window, subject.config.data.max_length
    if window is not None and window >= length:
        yield Problem(
            "model.sliding_window",
            f"a window of {window} tokens holds every sequence of {length} whole",
            (put("model.sliding_window", None),),
        )


@rule("dropout-high", "warning")
def dropout_high(subject: Subject) -> Iterator[Problem]:
    """No dropout zeroes more than half of its features."""
    config = subject.config
    for path, share in (
        ("model.attention_dropout", config.model.attention_dropout),
        ("model.hidden_dropout", config.model.hidden_dropout),
        ("model.embedding_dropout", config.model.embedding_dropout),
        ("model.expert_dropout", config.model.expert_dropout),
        ("training.mtp.head_dropout", config.training.mtp.head_dropout),
        ("lora.dropout", config.lora.dropout if config.lora.enabled else 0.0),
    ):
        if share > 0.5:
            yield Problem(
                path,
                f"{path} {share:g} zeroes more than it keeps; 0 to 0.1 is usual for language "
                "models",
                (put(path, 0.1),),
            )


@rule("initializer-wide", "warning")
def initializer_wide(subject: Subject) -> Iterator[Problem]:
    """initializer_range is a standard deviation below 0.2."""
    spread = subject.config.model.initializer_range
    if spread > 0.2:
        yield Problem(
            "model.initializer_range",
            f"weights with a standard deviation of {spread:g} saturate every layer; 0.02 is usual",
            (put("model.initializer_range", 0.02),),
        )


@rule("latent-attention-heads", "warning")
def latent_attention_heads(subject: Subject) -> Iterator[Problem]:
    """Latent attention makes all keys from one vector: num_key_value_heads is not read."""
    model = subject.config.model
    groups = model.num_key_value_heads
    if model.mla.enabled and groups is not None and groups != model.num_attention_heads:
        yield Problem(
            "model.num_key_value_heads",
            "latent attention makes the keys of all heads from one vector, so there are no "
            "key/value heads to share",
            (put("model.num_key_value_heads", None), put("model.mla.enabled", False)),
        )


@rule("latent-narrower-than-width", "warning")
def latent_narrower_than_width(subject: Subject) -> Iterator[Problem]:
    """model.mla.kv_lora_rank is below hidden_size, or nothing is compressed."""
    model = subject.config.model
    if model.mla.enabled and model.mla.kv_lora_rank >= model.hidden_size:
        yield Problem(
            subject.blame("model.mla.kv_lora_rank", "model.hidden_size", "model.mla.enabled"),
            f"a latent vector of {model.mla.kv_lora_rank} features is no shorter than the "
            f"{model.hidden_size} that it stands for",
            (put("model.mla.kv_lora_rank", max(1, model.hidden_size // 4)),),
        )


@rule("latent-rope-even", "error")
def latent_rope_even(subject: Subject) -> Iterator[Problem]:
    """model.mla.qk_rope_head_dim is even: rotary positions turn pairs of features."""
    mla = subject.config.model.mla
    if mla.enabled and mla.qk_rope_head_dim % 2:
        yield Problem(
            "model.mla.qk_rope_head_dim",
            f"rotary positions turn pairs of features; {mla.qk_rope_head_dim} is odd",
            (put("model.mla.qk_rope_head_dim", mla.qk_rope_head_dim + 1),),
        )


@rule("latent-fp8-saves-nothing", "hint")
def latent_fp8_saves_nothing(subject: Subject) -> Iterator[Problem]:
    """model.mla.use_fp8_kv shrinks the inference cache; training has none."""
    mla = subject.config.model.mla
    if mla.enabled and mla.use_fp8_kv:
        yield Problem(
            "model.mla.use_fp8_kv",
            "8-bit keys and values shrink the cache of inference; training has no cache",
            (put("model.mla.use_fp8_kv", False),),
        )


@rule("cross-attention-layers", "error")
def cross_attention_layers(subject: Subject) -> Iterator[Problem]:
    """With use_cross_attention, 1 to num_layers layers have it."""
    model = subject.config.model
    if model.use_cross_attention and not 1 <= model.num_cross_attention_layers <= model.num_layers:
        yield Problem(
            subject.blame("model.num_cross_attention_layers", "model.use_cross_attention"),
            f"{model.num_cross_attention_layers} of {model.num_layers} layers are to have "
            "cross-attention",
            (put("model.num_cross_attention_layers", max(1, model.num_layers // 4)),),
        )
