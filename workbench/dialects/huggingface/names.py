"""Which key of a config.json speaks of which key of ``model``, over all families."""

from __future__ import annotations

NAMES: dict[str, str] = {
    "vocab_size": "vocab_size",
    **dict.fromkeys(("hidden_size", "n_embd", "d_model"), "hidden_size"),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_decoder_layers"), "num_layers"),
    "num_layers": "num_encoder_layers",  # T5's encoder
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads"), "num_attention_heads"),
    "num_key_value_heads": "num_key_value_heads",
    **dict.fromkeys(("head_dim", "d_kv"), "head_dim"),
    **dict.fromkeys(("intermediate_size", "n_inner", "d_ff"), "intermediate_size"),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), "max_position_embeddings"),
    **dict.fromkeys(("hidden_act", "activation_function", "feed_forward_proj"), "hidden_act"),
    **dict.fromkeys(("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"), "layer_norm_eps"),
    "tie_word_embeddings": "tie_word_embeddings",
    **dict.fromkeys(
        ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob"), "attention_dropout"
    ),
    **dict.fromkeys(
        ("hidden_dropout", "resid_pdrop", "hidden_dropout_prob", "dropout_rate"), "hidden_dropout"
    ),
    "embd_pdrop": "embedding_dropout",
    "initializer_range": "initializer_range",
    **dict.fromkeys(("rope_theta", "rotary_emb_base"), "rope_theta"),
    **dict.fromkeys(("partial_rotary_factor", "rotary_pct", "rotary_dim"), "partial_rotary_factor"),
    "rope_scaling": "rope_scaling.type",
    "rope_parameters": "rope_theta",
    **dict.fromkeys(
        ("sliding_window", "use_sliding_window", "max_window_layers", "layer_types"),
        "sliding_window",
    ),
    "attention_bias": "attention_bias",
    "mlp_bias": "mlp_bias",
    "use_parallel_residual": "residual_type",
    **dict.fromkeys(("num_local_experts", "num_experts", "n_routed_experts"), "num_experts"),
    "num_experts_per_tok": "num_experts_per_token",
    "router_jitter_noise": "router_jitter_noise",
    "moe_intermediate_size": "moe.expert_intermediate_size",
    "n_shared_experts": "moe.num_shared_experts",
    "first_k_dense_replace": "moe.num_dense_layers",
    "n_group": "moe.num_expert_groups",
    "topk_group": "moe.num_limited_groups",
    "norm_topk_prob": "moe.normalize_expert_weights",
    "routed_scaling_factor": "moe.routed_scaling_factor",
    "kv_lora_rank": "mla.kv_lora_rank",
    "q_lora_rank": "mla.q_lora_rank",
    "qk_nope_head_dim": "mla.qk_nope_head_dim",
    "qk_rope_head_dim": "mla.qk_rope_head_dim",
    "v_head_dim": "mla.v_head_dim",
    "rope_interleave": "rope_interleaved",
    "id2label": "num_labels",
    "label2id": "num_labels",
}
"""Their key at the top of the file, and ours below ``model``."""

REASONS: dict[str, str] = {
    "model_type": "the family; which parts a network has follows from it",
    "architectures": "the class of transformers that loads the model",
    **dict.fromkeys(
        ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"),
        "tokens are the tokenizer's affair",
    ),
    **dict.fromkeys(
        ("torch_dtype", "dtype"),
        "the format of the weights in the file; training follows training.mixed_precision",
    ),
    "quantization_config": "how the published weights are stored; training starts from full ones",
    "transformers_version": "the release that wrote the file",
    "use_cache": "training needs no inference cache",
    "auto_map": "code of the model's own, which is never run here",
    "_name_or_path": "where the file came from",
    "router_aux_loss_coef": "they add it up over the choices of a token, we take the mean",
    "aux_loss_alpha": "of the training of the published weights",
    "task_specific_params": "settings for generation",
    "summary_type": "of a head that is not trained here",
    "n_ctx": "an old name of n_positions, which counts",
    "type_vocab_size": "a BERT here tells two sentences apart, as this one does",
    "num_nextn_predict_layers": "transformers drops these layers too; see training.mtp",
}
"""Why keys have no place here."""

OF_THE_WEIGHTS = ("quantization_config",)
"""Say how published weights are stored, not which network they are of."""
