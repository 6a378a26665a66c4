"""Rules about fine-tuning, LoRA and reinforcement learning."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from workbench.config.rules.base import Problem, Subject, put, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

_MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")


@rule("finetune-needs-weights", "warning")
def finetune_needs_weights(subject: Subject) -> Iterator[Problem]:
    """Fine-tuning and LoRA start from trained weights: model.pretrained_path."""
    config = subject.config
    resumed = config.checkpointing.resume_from_checkpoint is not None
    if config.model.pretrained_path is not None or resumed:
        return
    if config.lora.enabled:
        yield Problem(
            "lora.enabled",
            "LoRA freezes the weights, and these are random: model.pretrained_path names none",
            (put("lora.enabled", False),),
        )
    elif config.run.objective == "finetune":
        yield Problem(
            "run.objective",
            "there is nothing to fine-tune: model.pretrained_path names no weights, so they are "
            "random",
            (put("run.objective", "pretrain"),),
        )


@rule("lora-targets-known", "warning")
def lora_targets_known(subject: Subject) -> Iterator[Problem]:
    """lora.target_modules names matrices of the model."""
    lora = subject.config.lora
    if not lora.enabled:
        return
    unknown = [name for name in lora.target_modules if _meant(name) != [name]]
    if not lora.target_modules or unknown:
        meant = [match for name in lora.target_modules for match in _meant(name)]
        kept = list(dict.fromkeys(meant))
        yield Problem(
            "lora.target_modules",
            f"the model has no matrix {', '.join(unknown)}; it has {', '.join(_MATRICES)}"
            if unknown
            else "target_modules is empty, so nothing is trained",
            (put("lora.target_modules", kept or list(_MATRICES[:4])),),
        )


def _meant(name: str) -> list[str]:
    """The name itself, or the matrix that it may be a misspelling of."""
    if name.rpartition(".")[2] in _MATRICES:
        return [name]
    return difflib.get_close_matches(name, _MATRICES, 1, 0.5)


@rule("lora-rank", "warning")
def lora_rank(subject: Subject) -> Iterator[Problem]:
    """lora.r is well below the width that it stands for."""
    lora, width = subject.config.lora, subject.config.model.hidden_size
    if lora.enabled and lora.r > width // 2:
        yield Problem(
            subject.blame("lora.r", "lora.enabled"),
            f"two matrices of rank {lora.r} hold as many numbers as the whole matrix of width "
            f"{width}",
            (put("lora.r", max(1, min(16, width // 8))),),
        )


@rule("objective-agrees", "warning")
def objective_agrees(subject: Subject) -> Iterator[Problem]:
    """run.objective rlhf and rlhf.enabled go together."""
    objective, enabled = subject.config.run.objective, subject.config.rlhf.enabled
    if objective == "rlhf" and not enabled:
        yield Problem(
            "run.objective",
            "the objective is rlhf, and rlhf.enabled is false: this is an ordinary training",
            (put("rlhf.enabled", True), put("run.objective", "pretrain")),
        )
    elif enabled and objective not in ("rlhf", "test", None):
        yield Problem(
            "run.objective",
            f"rlhf.enabled trains by reward, and the objective is {objective}",
            (put("run.objective", "rlhf"), put("rlhf.enabled", False)),
        )


@rule("rlhf-needs-prompts", "warning")
def rlhf_needs_prompts(subject: Subject) -> Iterator[Problem]:
    """Learning from generated answers needs prompts: rlhf.prompt_dataset_path."""
    rlhf = subject.config.rlhf
    if rlhf.enabled and rlhf.algorithm != "dpo" and rlhf.prompt_dataset_path is None:
        yield Problem(
            "rlhf.enabled",
            "there is nothing to answer: rlhf.prompt_dataset_path names no prompts",
            (put("rlhf.enabled", False),),
        )


@rule("rlhf-needs-judge", "warning")
def rlhf_needs_judge(subject: Subject) -> Iterator[Problem]:
    """A reward needs a judge: the path of a judging or of a reward model."""
    rlhf = subject.config.rlhf
    if not rlhf.enabled or rlhf.algorithm == "dpo":
        return
    words = rlhf.reward.use_model_to_model_reward
    name = "judge_model_path" if words else "reward_model_path"
    other = "reward_model_path" if words else "judge_model_path"
    if getattr(rlhf.reward, name) is None:
        flag = "rlhf.reward.use_model_to_model_reward"
        swap = getattr(rlhf.reward, other) is not None
        yield Problem(
            subject.blame(flag, "rlhf.enabled"),
            f"nobody judges the answers: rlhf.reward.{name} names no weights",
            (put(flag, not words),) if swap else (),
        )


@rule("ppo-learning-rate", "warning")
def ppo_learning_rate(subject: Subject) -> Iterator[Problem]:
    """rlhf.ppo.learning_rate is at most 1e-4."""
    rlhf = subject.config.rlhf
    if rlhf.enabled and rlhf.algorithm == "ppo" and rlhf.ppo.learning_rate > 1e-4:
        yield Problem(
            "rlhf.ppo.learning_rate",
            f"a learning rate of {rlhf.ppo.learning_rate:g} unlearns the language before the "
            "reward is learned; 1e-5 is usual",
            (put("rlhf.ppo.learning_rate", 1e-5),),
        )


@rule("kl-leash-off", "warning")
def kl_leash_off(subject: Subject) -> Iterator[Problem]:
    """rlhf.ppo.init_kl_coef is above 0: it holds the model to its language."""
    rlhf = subject.config.rlhf
    if rlhf.enabled and rlhf.algorithm == "ppo" and rlhf.ppo.init_kl_coef == 0:
        yield Problem(
            "rlhf.ppo.init_kl_coef",
            "without the distance to the reference model the policy learns to please the judge in "
            "no language at all",
            (put("rlhf.ppo.init_kl_coef", 0.2),),
        )


@rule("rollouts-fill-batch", "warning")
def rollouts_fill_batch(subject: Subject) -> Iterator[Problem]:
    """An epoch writes at least one PPO batch of answers."""
    rlhf = subject.config.rlhf
    if not rlhf.enabled or rlhf.algorithm == "dpo":
        return
    if rlhf.num_rollouts_per_epoch < rlhf.ppo.batch_size:
        yield Problem(
            subject.blame("rlhf.num_rollouts_per_epoch", "rlhf.ppo.batch_size"),
            f"{rlhf.num_rollouts_per_epoch} answers per epoch never fill a PPO batch of "
            f"{rlhf.ppo.batch_size}",
            (
                put("rlhf.num_rollouts_per_epoch", rlhf.ppo.batch_size),
                put("rlhf.ppo.batch_size", rlhf.num_rollouts_per_epoch),
            ),
        )


@rule("dpo-needs-pairs", "warning")
def dpo_needs_pairs(subject: Subject) -> Iterator[Problem]:
    """DPO learns from pairs of answers: data.format preference."""
    config = subject.config
    if (
        config.rlhf.enabled
        and config.rlhf.algorithm == "dpo"
        and config.data.format != "preference"
    ):
        yield Problem(
            subject.blame("data.format", "rlhf.algorithm"),
            f"DPO learns from pairs of a better and a worse answer; data.format is "
            f"{config.data.format}",
            (put("data.format", "preference"),),
        )


@rule("instruction-tuning-format", "hint")
def instruction_tuning_format(subject: Subject) -> Iterator[Problem]:
    """Pre-training reads plain text; instructions and conversations are for fine-tuning."""
    config = subject.config
    if config.run.objective == "pretrain" and config.data.format in ("instruction", "chat"):
        yield Problem(
            "data.format",
            f"pre-training on {config.data.format} records counts the answers only; plain text "
            "teaches more per token",
            (put("data.format", "text"), put("run.objective", "finetune")),
        )
