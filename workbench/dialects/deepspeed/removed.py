"""Sections and keys that DeepSpeed removed in September 2026: the beginning of its message."""

from __future__ import annotations

REMOVED: dict[str, str] = {
    "nebula": "Nebula checkpointing has been removed.",
    "compression_training": "The DeepSpeed compression library has been removed.",
    "amp": "NVIDIA Apex AMP integration has been removed. Use DeepSpeed 'fp16', 'bf16', or "
    "'torch_autocast' instead.",
    "quantize_training": "Mixture-of-Quantization (MoQ) / 'quantize_training' has been removed.",
    "sparse_gradients": "Sparse compression of dense torch.nn.Embedding gradients has been "
    "removed.",
    "eigenvalue": "Eigenvalue-based Mixture-of-Quantization (MoQ) has been removed",
    "sparse_attention": "DeepSpeed Sparse Attention has been removed",
    "elasticity": "Elastic training has been removed; the 'elasticity' configuration block is no "
    "longer supported. Set train_batch_size / train_micro_batch_size_per_gpu / "
    "gradient_accumulation_steps directly.",
    "graph_harvesting": "Graph harvesting has been removed",
    "curriculum_learning": "Legacy top-level 'curriculum_learning' has been removed. Use "
    "'data_efficiency.data_sampling.curriculum_learning' instead.",
    "progressive_layer_drop": "Progressive Layer Dropping has been removed",
}
REMOVED_ZERO: dict[str, str] = {
    "mics_shard_size": "MiCS ZeRO-3 sharding has been removed",
    "mics_hierarchical_params_gather": "MiCS ZeRO-3 sharding has been removed",
    "zeropp_loco_param": "LoCo-Zero++ has been removed",
}
