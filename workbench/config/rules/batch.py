"""Rules about the batch identity: micro-batch × accumulation × data-parallel degree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.degrees import Degrees
from workbench.config.rules.base import Problem, Repair, Subject, put, rule
from workbench.config.rules.parallel import largest_divisor

if TYPE_CHECKING:
    from collections.abc import Iterator


@rule("batch-identity", "error")
def batch_identity(subject: Subject) -> Iterator[Problem]:
    """global_batch_size is batch_size x gradient_accumulation_steps x data-parallel degree."""
    training = subject.config.training
    whole, degrees = training.global_batch_size, Degrees.of(subject.config)
    micro, steps = training.batch_size, training.gradient_accumulation_steps
    product = micro * steps * degrees.data
    if whole is None or whole == product:
        return
    yield Problem(
        "training.global_batch_size",
        f"{micro} sequences × {steps} accumulation × {degrees.data} data-parallel = {product}, "
        f"not global_batch_size {whole}",
        tuple(_repairs(whole, micro, steps, degrees)),
    )


def _repairs(whole: int, micro: int, steps: int, degrees: Degrees) -> Iterator[Repair]:
    """The three ways to make the identity hold, those that keep the batch first."""
    each, rest = divmod(whole, degrees.data)
    exact = not rest
    if exact and each % micro == 0:
        yield put("training.gradient_accumulation_steps", each // micro)
    if exact and each % steps == 0:
        yield put("training.batch_size", each // steps)
    if exact and each % micro and each % steps:
        best = largest_divisor(each, micro)
        yield (
            f"batch_size: {best} with gradient_accumulation_steps: {each // best}",
            {"training.batch_size": best, "training.gradient_accumulation_steps": each // best},
        )
    yield put("training.global_batch_size", micro * steps * degrees.data)
    if degrees.asked is None and whole % (micro * steps) == 0:
        devices = whole // (micro * steps) * degrees.model
        yield (
            f"use {devices} devices on one node",
            {"parallel.num_nodes": 1, "parallel.devices_per_node": devices},
        )


@rule("dynamic-batch-limits", "error")
def dynamic_batch_limits(subject: Subject) -> Iterator[Problem]:
    """dynamic_batching.min_batch_size is at most max_batch_size."""
    dynamic = subject.config.training.dynamic_batching
    if dynamic.enabled and dynamic.min_batch_size > dynamic.max_batch_size:
        yield Problem(
            subject.blame(
                "training.dynamic_batching.min_batch_size",
                "training.dynamic_batching.max_batch_size",
            ),
            f"a micro-batch cannot be at least {dynamic.min_batch_size} and at most "
            f"{dynamic.max_batch_size} sequences",
            (put("training.dynamic_batching.min_batch_size", dynamic.max_batch_size),),
        )


@rule("dynamic-batch-moves-batch", "warning")
def dynamic_batch_moves_batch(subject: Subject) -> Iterator[Problem]:
    """A fixed global_batch_size and a micro-batch that changes by itself contradict each other."""
    training = subject.config.training
    if training.dynamic_batching.enabled and training.global_batch_size is not None:
        yield Problem(
            "training.dynamic_batching.enabled",
            "dynamic batching changes the micro-batch, so the batch does not stay at "
            f"global_batch_size {training.global_batch_size}",
            (
                put("training.dynamic_batching.enabled", False),
                put("training.global_batch_size", None),
            ),
        )


@rule("ppo-batch-divides", "error")
def ppo_batch_divides(subject: Subject) -> Iterator[Problem]:
    """rlhf.ppo.batch_size is a multiple of mini_batch_size x gradient_accumulation_steps."""
    rlhf = subject.config.rlhf
    if not rlhf.enabled or rlhf.algorithm == "dpo":
        return
    ppo = rlhf.ppo
    update = ppo.mini_batch_size * ppo.gradient_accumulation_steps
    if ppo.batch_size % update:
        nearest = max(1, ppo.batch_size // update) * update
        yield Problem(
            subject.blame(
                "rlhf.ppo.batch_size",
                "rlhf.ppo.mini_batch_size",
                "rlhf.ppo.gradient_accumulation_steps",
            ),
            f"a PPO batch of {ppo.batch_size} answers cannot be cut into updates of "
            f"{ppo.mini_batch_size} × {ppo.gradient_accumulation_steps} = {update}",
            (put("rlhf.ppo.batch_size", nearest),),
        )
