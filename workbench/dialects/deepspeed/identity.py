"""DeepSpeed's batch rule: what is derived, and what is refused, in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.deepspeed.judging import BATCH, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator


def batch_refusals(tree: dict[str, Any], world: int) -> Iterator[Refusal]:
    """What DeepSpeed refuses in the three batch figures, for so many data-parallel processes."""
    whole, micro, steps = (tree.get(name) for name in BATCH)
    wrong = [name for name in BATCH if not isinstance(tree.get(name, 0), int | float | None)]
    if whole is None and micro is None:
        yield Refusal(
            ("train_batch_size",),
            "Either train_batch_size or train_micro_batch_size_per_gpu needs to be provided",
        )
        return
    try:
        whole, micro, steps = triple(whole, micro, steps, world)
        found = list(_identity(whole, micro, steps, world))
    except (TypeError, ZeroDivisionError) as error:
        # Python's own words, which are DeepSpeed's: it computes in the same order.
        auto = any(tree.get(name) == "auto" for name in wrong)
        filled = ": only Hugging Face's Trainer fills in auto" if auto else ""
        yield Refusal((wrong[0] if wrong else BATCH[0],), f"{error}{filled}")
    else:
        yield from found


def _identity(whole: float, micro: float, steps: float, world: int) -> Iterator[Refusal]:
    for name, value, words in zip(
        BATCH,
        (whole, micro, steps),
        ("Train batch size", "Micro batch size per gpu", "Gradient accumulation steps"),
        strict=True,
    ):
        positive = value > 0
        if not positive:
            yield Refusal((name,), f"{words}: {value} has to be greater than 0")
            return
    if whole != micro * steps * world:
        yield Refusal(
            ("train_batch_size",),
            "Check batch related parameters. train_batch_size is not equal to "
            f"micro_batch_per_gpu * gradient_acc_step * world_size {whole} != {micro} * {steps} * "
            f"{world}",
        )


def triple(whole: Any, micro: Any, steps: Any, world: int) -> tuple[Any, Any, Any]:
    """The three batch figures, those that are missing derived as DeepSpeed derives them.

    Raises:
        ZeroDivisionError: A given one is 0.
    """
    if whole is not None and micro is not None:
        return whole, micro, whole // micro // world if steps is None else steps
    if whole is not None:
        steps = 1 if steps is None else steps
        return whole, whole // world // steps, steps
    steps = 1 if steps is None else steps
    return micro * steps * world, micro, steps
