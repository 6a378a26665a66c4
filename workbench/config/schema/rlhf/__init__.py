"""`rlhf`: reinforcement learning from human feedback."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key
from workbench.config.schema.rlhf.dpo import DpoConfig
from workbench.config.schema.rlhf.grpo import GrpoConfig
from workbench.config.schema.rlhf.ppo import PpoConfig
from workbench.config.schema.rlhf.reward import RewardConfig


class RlhfConfig(Section):
    """A model writes answers, a reward judges them, and the model moves towards better ones."""

    UNHONOURED = NOT_BUILT
    NEEDS = "rlhf.enabled"

    enabled: bool = key(
        False,
        "Trains by reward instead of by next-token loss.",
        changes="up to four models in memory: policy, reference, value and reward",
    )
    algorithm: Literal["ppo", "grpo", "dpo"] = key(
        "ppo",
        "ppo needs a value model, grpo compares several answers instead, dpo learns from pairs "
        "without generating.",
        changes="models in memory; time per step",
    )
    policy_model_path: str | None = key(
        None, "Weights of the model to train; null is model.pretrained_path."
    )
    prompt_dataset_path: str | None = key(
        None, "File of prompts that the model answers in training.", changes="what the model learns"
    )
    eval_prompt_dataset_path: str | None = key(
        None, "File of prompts to evaluate on; null holds out some of the others."
    )
    num_eval_prompts: Whole = key(
        50, "Prompts in one evaluation.", unit="prompts", changes="time of an evaluation", ge=1
    )
    max_prompt_length: Whole = key(
        512,
        "Prompts with more tokens are cut.",
        unit="tokens",
        changes="memory of generation",
        ge=1,
    )
    rollout_batch_size: Whole = key(
        128,
        "Prompts answered at once.",
        unit="prompts",
        changes="memory and speed of generation",
        ge=1,
    )
    num_rollouts_per_epoch: Whole = key(
        1000, "Answers written in one epoch.", unit="answers", changes="time per epoch", ge=1
    )
    num_epochs: Whole = key(
        3, "Rounds of writing answers and learning from their rewards.", unit="epochs", ge=1
    )
    save_every: Whole = key(
        1000, "Write a checkpoint every this many steps.", unit="optimizer steps", ge=1
    )
    eval_every: Whole = key(
        500, "Evaluate the policy every this many steps.", unit="optimizer steps", ge=1
    )
    reward: RewardConfig = Field(default_factory=RewardConfig)
    ppo: PpoConfig = Field(default_factory=PpoConfig)
    grpo: GrpoConfig = Field(default_factory=GrpoConfig)
    dpo: DpoConfig = Field(default_factory=DpoConfig)
