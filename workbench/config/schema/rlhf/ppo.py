"""`rlhf.ppo`: proximal policy optimisation (arXiv 1707.06347), and the leash to the old model."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key


class PpoConfig(Section):
    """Several small updates on each batch of answers, none of them large."""

    UNHONOURED = NOT_BUILT
    NEEDS = "rlhf.enabled"

    learning_rate: float = key(
        1e-5,
        "Learning rate of the policy.",
        changes="too high unlearns the language within hours",
        gt=0.0,
        le=1.0,
    )
    batch_size: Whole = key(
        128,
        "Answers that one round of PPO learns from.",
        unit="sequences",
        changes="noise of the update; memory for the answers",
        ge=1,
    )
    mini_batch_size: Whole = key(
        32,
        "Answers of one forward and backward pass; divides batch_size.",
        unit="sequences",
        changes="activation memory",
        ge=1,
    )
    gradient_accumulation_steps: Whole = key(
        1,
        "Mini-batches whose gradients are added up before one optimizer step.",
        unit="mini-batches",
        ge=1,
    )
    ppo_epochs: Whole = key(
        4, "How often each batch of answers is learned from.", unit="passes", ge=1
    )
    num_train_epochs: Whole = key(
        1, "How often to go through all prompts.", unit="epochs", changes="time", ge=1
    )
    max_steps: Whole | None = key(
        None,
        "Optimizer steps at most; null means as many as the epochs give.",
        unit="optimizer steps",
        changes="time",
        ge=1,
    )
    warmup_steps: Whole = key(
        100, "Steps over which the learning rate rises from zero.", unit="optimizer steps", ge=0
    )
    max_grad_norm: float = key(
        1.0, "Gradients with a larger global norm are scaled down to it.", gt=0.0
    )
    clip_range: float = key(
        0.2,
        "How far the probability of an answer may move in one batch: from 1 - this to 1 + this.",
        changes="size of the updates",
        gt=0.0,
        lt=1.0,
    )
    clip_range_value: float = key(0.2, "How far the value estimate may move in one batch.", gt=0.0)
    value_loss_coef: float = key(0.5, "Weight of the value model's loss.", ge=0.0)
    entropy_coef: float = key(
        0.01, "Weight of a reward for undecided answers.", changes="exploration", ge=0.0
    )
    gamma: float = key(1.0, "How much later rewards count: 1 in full.", gt=0.0, le=1.0)
    gae_lambda: float = key(
        0.95,
        "How far the advantage looks ahead (arXiv 1506.02438): 1 sees the whole answer with all "
        "its noise.",
        ge=0.0,
        le=1.0,
    )
    kl_penalty: Literal["kl", "abs", "mse"] = key(
        "kl", "How the distance to the reference model is measured."
    )
    init_kl_coef: float = key(
        0.2,
        "Weight of that distance at the start: the leash to the reference model.",
        changes="how far the model may drift",
        ge=0.0,
    )
    adaptive_kl: bool = key(True, "Moves that weight so that the distance stays near target_kl.")
    target_kl: float = key(
        0.01,
        "Distance to the reference model to aim for.",
        unit="nats",
        ignored="with adaptive_kl: false",
        gt=0.0,
    )
    max_gen_length: Whole = key(
        128, "Tokens that an answer has at most.", unit="tokens", changes="time of generation", ge=1
    )
    temperature: float = key(1.0, "Temperature at which answers are drawn.", gt=0.0)
    top_k: Whole = key(
        50, "Answers are drawn from the k likeliest tokens; 0 means all.", unit="tokens", ge=0
    )
    top_p: float = key(
        0.95,
        "Answers are drawn from the likeliest tokens that together have this probability.",
        gt=0.0,
        le=1.0,
    )
    logging_steps: Whole = key(
        10, "Write a row of metrics every this many steps.", unit="optimizer steps", ge=1
    )
    save_steps: Whole = key(
        500, "Write a checkpoint every this many steps.", unit="optimizer steps", ge=1
    )
    eval_steps: Whole = key(
        500, "Evaluate the policy every this many steps.", unit="optimizer steps", ge=1
    )
    gradient_checkpointing: bool = key(
        True, "Computes activations again in the backward pass.", changes="memory against time"
    )
    mixed_precision: Literal["no", "fp16", "bf16"] = key(
        "bf16", "Number format of the matrix products.", changes="speed and memory"
    )
