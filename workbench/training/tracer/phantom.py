"""Run PyTorch code without its floating-point arithmetic.

Integers are computed: they are few, and they decide shapes (how many rows an expert gets).
Everything else is allocated and never written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch._library.custom_ops import OPDEFS
from torch.distributed._functional_collectives import AsyncCollectiveTensor
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

if TYPE_CHECKING:
    from collections.abc import Callable

_aten = torch.ops.aten

_UNWRAPPED = (DTensor, AsyncCollectiveTensor)

_ALIASES = {_aten._unsafe_view.default, _aten._reshape_alias.default, _aten.lift_fresh.default}  # noqa: SLF001
"""Operations that allocate nothing, though their schema does not say so."""

_MIXING = {
    _aten.add.Tensor,
    _aten.sub.Tensor,
    _aten.mul.Tensor,
    _aten.div.Tensor,
    _aten.add_.Tensor,
}
"""Operations that, on a CPU, copy an operand of another dtype before they begin."""

_RESIZING = ("aten::set_", "aten::resize_")

# Selections among floats: the places they find must be plausible, and evenly spread.
_PLACES = {_aten.topk.default: 1, _aten.sort.default: 1, _aten.sort.stable: 1, _aten.max.dim: 1}


class Phantom(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode in which operations on floats allocate their results and do nothing else.

    Args:
        watch: Called with every operation and its result, for whoever counts.
        cpu: Whether to allocate what only CPU kernels need on their way.
    """

    def __init__(
        self, watch: Callable[[Any, Any], None] | None = None, *, cpu: bool = False
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watch = watch
        self._cpu = cpu
        self._shapes: dict[Any, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(each, _UNWRAPPED) for each in types):
            return NotImplemented  # it unwraps itself and comes back with what is inside
        copies: list[torch.Tensor] = []  # they live until the result exists
        result = self._run(func, args, kwargs or {}, copies)
        if self._watch is not None:
            self._watch(func, result)
        return result

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any], copies: list[torch.Tensor]) -> Any:
        flat, _ = tree_flatten((args, kwargs))
        tensors = [each for each in flat if isinstance(each, torch.Tensor)]
        if func.namespace == "ava":
            # An operator of ours is Python code: what it allocates on its way is seen, too.
            with self:
                return OPDEFS[func._schema.name]._init_fn(*args, **kwargs)  # noqa: SLF001
        if func is _aten._local_scalar_dense.default and not _whole(tensors):  # noqa: SLF001
            return 1.0
        if _is_carried_out(func, tensors, args, kwargs):
            return func(*args, **kwargs)
        if func is _aten.add.Tensor and _added_in_place(args):
            return args[0]
        if self._cpu and func in _MIXING:
            copies += self._promote(tensors)
        if func is _aten._safe_softmax.default:  # noqa: SLF001
            run = self._safe_softmax
        else:
            run = self._mutate if func._schema.is_mutable else self._allocate  # noqa: SLF001
        return run(func, args, kwargs)

    def _promote(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """The copies that TensorIterator makes on a CPU where dtypes meet."""
        whole = [each for each in tensors if each.dim()]
        if len({each.dtype for each in whole}) < 2 or self._watch is None:
            return []
        common = torch.result_type(*tensors)
        copies = [torch.empty(each.shape, dtype=common) for each in whole if each.dtype != common]
        self._watch("promotion", copies)
        return copies

    def _safe_softmax(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """A softmax, and what finds the rows where it is undefined (SoftMax.cpp, torch 2.13)."""
        result = self._allocate(func, args, kwargs)
        hidden = torch.empty_like(result, dtype=torch.bool)
        rows = torch.empty((*result.shape[:-1], 1), dtype=torch.bool)
        zero = torch.empty((), dtype=result.dtype)
        if self._watch is not None:
            self._watch(func, [result, hidden, rows, zero])
        return result

    def _mutate(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Leave the target as it is."""
        returns = func._schema.returns  # noqa: SLF001
        if not returns:
            return None
        target = kwargs["out"] if "out" in kwargs else args[0]
        return target if len(returns) == 1 else self._allocate(func, args, kwargs)

    def _allocate(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if func is _aten._grouped_mm.default:  # noqa: SLF001
            return _grouped(*args, **kwargs)
        key = _key(func, args, kwargs)
        shapes = self._shapes.get(key) if key is not None else None
        if shapes is None:
            meta_args, meta_kwargs = tree_map_only(torch.Tensor, _meta, (args, kwargs))
            takes_none = not any(isinstance(each, torch.Tensor) for each in tree_flatten(args)[0])
            if "device" in meta_kwargs or takes_none:
                meta_kwargs["device"] = torch.device("meta")
            meta_kwargs.pop("pin_memory", None)
            shapes = tree_map_only(torch.Tensor, _shape, func(*meta_args, **meta_kwargs))
            if key is not None:
                self._shapes[key] = shapes
        result = tree_map_only(_Shape, _Shape.allocate, shapes)
        if func in _PLACES:
            values, places = result
            source, dim = args[0], _dim(func, args, kwargs)
            spread = torch.arange(places.numel()).remainder_(source.shape[dim])
            places.copy_(spread.view(places.shape))
            return values, places
        for each in tree_flatten(result)[0]:
            if isinstance(each, torch.Tensor) and not each.dtype.is_floating_point:
                each.zero_()
        return result


def _grouped(
    x: torch.Tensor, y: torch.Tensor, offs: torch.Tensor, *_args: Any, **_kwargs: Any
) -> torch.Tensor:
    """The result of grouped products, whose own shape function takes bf16 alone."""
    shape: tuple[int, ...] = (x.shape[0], y.shape[-1])
    if x.dim() == y.dim():
        shape = (len(offs), *shape)
    return x.new_empty(shape)


class _Shape:
    """What a tensor is, without its memory."""

    __slots__ = ("dtype", "shape", "stride")

    def __init__(self, shape: Any, stride: Any, dtype: torch.dtype) -> None:
        self.shape, self.stride, self.dtype = shape, stride, dtype

    def allocate(self) -> torch.Tensor:
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device="cpu")


def _shape(tensor: torch.Tensor) -> _Shape:
    return _Shape(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)


def _meta(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _added_in_place(args: Any) -> bool:
    """Whether this is the autograd engine adding two gradients, and would do so in place.

    Under a dispatch mode it never does (`isTensorSubclassLike`); otherwise where the gradient that
    came first is dense and belongs to nobody else (`can_accumulate_inplace`, input_buffer.cpp).
    The counts are those of a tensor that only the engine holds, plus this call's own.
    """
    if torch._C._current_graph_task_id() == -1 or torch.is_grad_enabled():  # noqa: SLF001
        return False
    first, second = args
    if not isinstance(second, torch.Tensor) or first.shape != second.shape:
        return False
    storage = first.untyped_storage()._cdata  # noqa: SLF001
    return bool(
        first._use_count() == 4  # noqa: SLF001
        and torch._C._storage_Use_Count(storage) == 2  # noqa: SLF001
        and torch._prims_common.is_non_overlapping_and_dense_or_false(first)  # noqa: SLF001
    )


def _on_meta(tensors: list[torch.Tensor], kwargs: dict[str, Any]) -> bool:
    """Whether the result has no memory anyway."""
    if "device" in kwargs and kwargs["device"] is not None:
        return torch.device(kwargs["device"]).type == "meta"
    return bool(tensors) and all(each.device.type == "meta" for each in tensors)


def _whole(tensors: list[torch.Tensor]) -> bool:
    return bool(tensors) and not any(
        each.dtype.is_floating_point or each.dtype.is_complex for each in tensors
    )


def _is_carried_out(
    func: Any, tensors: list[torch.Tensor], args: Any, kwargs: dict[str, Any]
) -> bool:
    """Whether an operation allocates nothing, changes sizes, or is about whole numbers."""
    if func.is_view or func in _ALIASES or func.namespace != "aten" or _on_meta(tensors, kwargs):
        return True
    if func._schema.is_mutable:  # noqa: SLF001
        return func._schema.name in _RESIZING or _whole(tensors)  # noqa: SLF001
    dtype = kwargs.get("dtype")
    if tensors:
        return _whole(tensors) and not (dtype is not None and dtype.is_floating_point)
    if dtype is None and func.overloadpacket is _aten.arange:
        return all(isinstance(each, int) for each in args)
    return dtype is not None and not dtype.is_floating_point


def _dim(func: Any, args: Any, kwargs: dict[str, Any]) -> int:
    place = {_aten.topk.default: 2, _aten.sort.default: 1, _aten.max.dim: 1}.get(func)
    if "dim" in kwargs:
        return int(kwargs["dim"])
    return int(args[place]) if place is not None and len(args) > place else -1


def _key(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What decides the shape of a result; None where it cannot be looked up."""
    flat, _ = tree_flatten((args, kwargs))
    parts: list[Any] = [func]
    for each in flat:
        if isinstance(each, torch.Tensor):
            parts.append((tuple(each.shape), tuple(each.stride()), each.dtype))
        else:
            parts.append(repr(each))
    return (tuple(parts), tuple(kwargs))
