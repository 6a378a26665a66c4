"""What the backward pass computes again instead of keeping it.

``block`` keeps the input of each block and nothing else (arXiv 1604.06174): about a third more
compute. ``selective`` also keeps the results of matrix products and of attention, which are most of
the compute, and computes again what is cheap and large: norms, activations, masks, casts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import ava_kernels  # noqa: F401 - registers its operators
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

if TYPE_CHECKING:
    from torch import nn

    from workbench.models.base import Recompute

_KEPT = {
    torch.ops.aten.mm.default,
    torch.ops.aten.addmm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten._grouped_mm.default,  # noqa: SLF001 - its public name, F.grouped_mm, is no operator
    torch.ops.ava.causal_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,  # noqa: SLF001
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,  # noqa: SLF001
    torch.ops.aten._scaled_dot_product_efficient_attention.default,  # noqa: SLF001
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,  # noqa: SLF001
}


def _policy(_ctx: Any, operator: Any, *_args: Any, **_kwargs: Any) -> CheckpointPolicy:
    kept = operator in _KEPT
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE


_SELECTIVE = partial(create_selective_checkpoint_contexts, _policy)


class _OnlyKept(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Shows torch's own mode only what is kept.

    It also counts what is computed again, and insists on the same operations in the same order; but
    an engine may fetch weights within a block the first time, and not the second (ZeRO stage 3).
    """

    def __init__(self, inner: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.inner = inner

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """As torch's own."""
        return True

    def __enter__(self) -> Any:
        if (counter := getattr(self.inner, "func_counter", None)) is not None:
            counter.clear()
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in _KEPT:
            return func(*args, **(kwargs or {}))
        return self.inner.__torch_dispatch__(func, types, args, kwargs)


def _eagerly() -> tuple[_OnlyKept, _OnlyKept]:
    first, again = _SELECTIVE()
    return _OnlyKept(first), _OnlyKept(again)


def run_block(block: nn.Module, recompute: Recompute, *args: Any) -> Any:
    """Call a block so that its backward pass finds what ``recompute`` says.

    Args:
        block: What to call.
        recompute: What to keep; without effect where no gradient is wanted.
        args: What to call it with.
    """
    if recompute == "none" or not (block.training and torch.is_grad_enabled()):
        return block(*args)
    if recompute == "block":
        return checkpoint(block, *args, use_reentrant=False)
    context = _SELECTIVE if torch.compiler.is_compiling() else _eagerly
    return checkpoint(block, *args, use_reentrant=False, context_fn=context)
