"""`rlhf.reward`: who judges the answers, and what is made of the judgement."""

from __future__ import annotations

from workbench.config.schema.base import NOT_BUILT, Section, key


class RewardConfig(Section):
    """The judge and the scaling of its scores."""

    UNHONOURED = NOT_BUILT
    NEEDS = "rlhf.enabled"

    use_model_to_model_reward: bool = key(
        True, "A language model judges in words; false takes a trained reward model."
    )
    judge_model_path: str | None = key(
        None,
        "Weights of the judging language model.",
        ignored="with use_model_to_model_reward: false",
    )
    reward_model_path: str | None = key(
        None,
        "Weights of the reward model, which gives each answer a number.",
        ignored="with use_model_to_model_reward: true",
    )
    freeze_reward_model: bool = key(
        True,
        "Keeps the weights of the judge as they are.",
        changes="false costs its gradients and optimizer too",
    )
    use_score_scaling: bool = key(True, "Divides scores by their running standard deviation.")
    use_score_norm: bool = key(
        True,
        "Subtracts the running mean from the scores too.",
        ignored="with use_score_scaling: false",
    )
    whiten_rewards: bool = key(
        True, "Gives the rewards of each batch mean 0 and standard deviation 1."
    )
    clip_reward: float | None = key(
        10.0, "Larger rewards are cut to plus or minus this; null cuts none.", gt=0.0
    )
