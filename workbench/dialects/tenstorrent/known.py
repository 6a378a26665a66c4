"""Model files that tt-train ships: what stands in them, for training files that only name one.

Facts from ``tt-train/configs/model_configs`` of tenstorrent/tt-metal.
"""

from __future__ import annotations

from typing import Any, Final


def _gpt2(
    heads: int, width: int, blocks: int, vocab: int, length: int, **more: Any
) -> dict[str, Any]:
    return {"model_type": "gpt2", "num_heads": heads, "embedding_dim": width, "num_blocks": blocks,
            "dropout_prob": 0.2, "vocab_size": vocab,
            "max_sequence_length": length} | more  # fmt: skip


def _llama(
    heads: int, groups: int, width: int, blocks: int, vocab: int | None, length: int, theta: float,
    **more: Any,
) -> dict[str, Any]:  # fmt: skip
    sizes = {"model_type": "llama", "num_heads": heads, "num_groups": groups,
             "embedding_dim": width, "num_blocks": blocks, "dropout_prob": 0.0,
             "max_sequence_length": length, "theta": theta}  # fmt: skip
    return sizes | ({} if vocab is None else {"vocab_size": vocab}) | more


_EFFICIENT: Final = {"runner_type": "memory_efficient"}
_TIED: Final = {"weight_tying": "enabled"}

MODELS: Final[dict[str, dict[str, Any]]] = {
    "nanogpt": _gpt2(6, 384, 6, 50257, 256, **_TIED),
    "nanogpt_char": _gpt2(6, 384, 6, 128, 256),
    "gpt2s": _gpt2(12, 768, 12, 50257, 1024, **_TIED),
    "gpt2l": _gpt2(20, 1280, 36, 50257, 1024, **_EFFICIENT),
    "gpt2xl": _gpt2(32, 2048, 48, 50257, 1024, **_EFFICIENT),
    "nanollama3": _llama(6, 3, 384, 6, 32000, 256, 500000.0),
    "nanollama3_char": _llama(6, 3, 384, 6, None, 256, 500000.0),
    "tinyllama": _llama(32, 4, 2048, 22, 32000, 2048, 10000.0, **_EFFICIENT),
    "llama8b": _llama(32, 8, 4096, 32, 128256, 2048, 500000.0, intermediate_dim=14336),
    "llama70b": _llama(
        64, 8, 8192, 80, 128256, 2048, 500000.0, intermediate_dim=28672, **_EFFICIENT
    ),
    "llama405b": _llama(128, 8, 16384, 126, 32000, 1024, 10000.0, **_EFFICIENT),
    "smollm2_135m": _llama(9, 3, 576, 30, 49152, 768, 10000.0, **_TIED),
}

_LLAMA_3_ROPE: Final = {"type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                        "original_max_position_embeddings": 8192}  # fmt: skip


def _hub(
    width: int, layers: int, heads: int, groups: int, inner: int, vocab: int, *, tied: bool,
    theta: float = 500000.0, factor: float | None = None, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    made: dict[str, Any] = {
        "hidden_size": width, "num_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": groups, "intermediate_size": inner, "vocab_size": vocab,
        "tie_word_embeddings": tied, "rope_theta": theta, "max_position_embeddings": 131072,
    }  # fmt: skip
    if factor is not None:
        made |= {f"rope_scaling.{name}": value for name, value in _LLAMA_3_ROPE.items()}
        made["rope_scaling.factor"] = factor
    return made | more


HUB: Final[dict[str, dict[str, Any]]] = {
    "llama-3.2-1b": _hub(2048, 16, 32, 8, 8192, 128256, tied=True, factor=32.0),
    "llama-3.2-3b": _hub(3072, 28, 24, 8, 8192, 128256, tied=True, factor=32.0),
    "llama-3.1-8b": _hub(4096, 32, 32, 8, 14336, 128256, tied=False, factor=8.0),
    "llama-3.1-70b": _hub(8192, 80, 64, 8, 28672, 128256, tied=False, factor=8.0),
    "llama-3.3-70b": _hub(8192, 80, 64, 8, 28672, 128256, tied=False, factor=8.0),
    "tinyllama-1.1b": _hub(2048, 22, 32, 4, 5632, 32000, tied=False, theta=10000.0,
                           max_position_embeddings=2048),
    "qwen3-0.6b": _hub(1024, 28, 16, 8, 3072, 151936, tied=True, theta=1e6, head_dim=128,
                       qk_norm=True, max_position_embeddings=40960),
    "qwen3-4b": _hub(2560, 36, 32, 8, 9728, 151936, tied=True, theta=1e6, head_dim=128,
                     qk_norm=True, max_position_embeddings=40960),
    "qwen3-8b": _hub(4096, 36, 32, 8, 12288, 151936, tied=False, theta=1e6, head_dim=128,
                     qk_norm=True, max_position_embeddings=40960),
}  # fmt: skip
"""Models of the Hugging Face hub that tt-blacksmith's files name, by a part of the name."""
