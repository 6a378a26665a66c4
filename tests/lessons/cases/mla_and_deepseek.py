LATENT = """%%config latent.yaml lesson
model:
  mla:
    enabled: true
    kv_lora_rank: 16
    qk_nope_head_dim: 16
    qk_rope_head_dim: 16
    v_head_dim: 32
"""
V3 = """%%config small-v3.yaml lesson
model:
  mla:
    enabled: true
    kv_lora_rank: 16
    qk_nope_head_dim: 16
    qk_rope_head_dim: 16
    v_head_dim: 32
  num_experts: 4
  num_experts_per_token: 2
  moe:
    expert_intermediate_size: 96
    score_function: sigmoid
    num_shared_experts: 1
    num_dense_layers: 1
  moe_balancing:
    method: loss_free
"""
SOLUTION = {
    "latent-config": LATENT,
    "latent-launch": 'learn.launch("latent", config="latent.yaml")',
    "your-cards": "cards = 3",
    "v3-config": V3,
    "v3-launch": 'learn.launch("small-v3", config="small-v3.yaml")',
}
