"""Where DeepSpeed keeps the fp32 weights, the optimizer's numbers and the gradients of a step.

One class for each of its layouts: beside the parameters (no ZeRO), beside fp32 copies of them (no
ZeRO, 16 bits), in flat partitions (stages 1 and 2), and in partitions of flat sub-groups (stage 3).
What they give and take are whole tensors, so that a checkpoint knows nothing of stages.
"""

# ruff: noqa: SLF001 - there is no public way; the version is pinned, and the tests compare numbers

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.training.engines.base import Tensors


class Masters(Protocol):
    """What the engine needs of a layout. Every method is called by all processes together."""

    def gradient_norm(self) -> torch.Tensor:
        """The 2-norm of the step's gradient, or -1 where it is not finite."""

    def use_loss_scale(self, factor: float) -> float:
        """The loss of a 16-bit training is multiplied by ``factor``, and gradients divided by it.

        Returns:
            What the loss still has to be multiplied by; DeepSpeed does the rest.
        """

    def limit_gradient(self, max_norm: float) -> None:
        """What the next update clips the gradient to; 0: nothing."""

    def discard_gradients(self) -> None:
        """Forget the step's gradient."""

    def whole(self, tensor: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
        """A parameter or buffer in fp32, and the optimizer's numbers of it."""

    def set_weights(self, values: Iterator[tuple[str, torch.Tensor]], tensors: Tensors) -> None:
        """Fill parameters and buffers, the 16-bit ones too.

        Args:
            values: Whole tensors by name.
            tensors: Those of the model.
        """

    def set_numbers(self, values: Iterator[tuple[str, torch.Tensor]], tensors: Tensors) -> None:
        """Fill the optimizer's numbers, whose names are ``<parameter>.<what>``."""


def masters_of(engine: Any, stage: int) -> Masters:
    """The layout that an engine of DeepSpeed has."""
    if stage == 3:
        return _Stage3(engine)
    if stage > 0:
        return _Partitions(engine)
    return _Copies(engine)


class _Copies:
    """No ZeRO: every process has everything, in 16-bit training a second time in fp32."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.optimizer = engine.optimizer
        self.inner = getattr(engine.optimizer, "optimizer", engine.optimizer)
        groups = zip(
            getattr(self.optimizer, "fp16_groups", []),
            getattr(self.optimizer, "fp32_groups", []),
            strict=True,
        )
        self.master = {
            short: exact
            for shorts, exacts in groups
            for short, exact in zip(shorts, exacts, strict=True)
        }

        if self.master:
            # It has made an update with empty gradients, to have its memory early: that counts as a
            # step of Adam, and the first real ones would be too small.
            self.inner.state.clear()

    def gradient_norm(self) -> torch.Tensor:
        gradients = [p.grad for p in self.engine.module.parameters() if p.grad is not None]
        scale = self.optimizer.loss_scale_config.cur_scale if self.master else 1.0
        return torch.nn.utils.get_total_norm([each.float() for each in gradients]) / scale

    def use_loss_scale(self, factor: float) -> float:
        self.optimizer.loss_scale_config.cur_scale = factor
        return factor

    def limit_gradient(self, max_norm: float) -> None:
        self.engine._config.gradient_clipping = max_norm
        if self.master:
            self.optimizer.clip_grad = max_norm

    def discard_gradients(self) -> None:
        self.engine.zero_grad()

    def whole(self, tensor: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
        master = self.master.get(tensor, tensor)
        numbers = self.inner.state.get(master, {})
        return master.detach(), {key: torch.as_tensor(value) for key, value in numbers.items()}

    def set_weights(self, values: Iterator[tuple[str, torch.Tensor]], tensors: Tensors) -> None:
        for tensor, value in _matched(values, tensors):
            tensor.data.copy_(value)
            if tensor in self.master:
                self.master[tensor].data.copy_(value)

    def set_numbers(self, values: Iterator[tuple[str, torch.Tensor]], tensors: Tensors) -> None:
        for key, value in values:
            name, _, what = key.rpartition(".")
            master = self.master.get(tensors[name], tensors[name])
            self.inner.state[master][what] = value.to(master.device)


class _Partitions:
    """Stages 1 and 2: each process owns a piece of the flattened fp32 weights of a group."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.optimizer = engine.optimizer
        self.inner = engine.optimizer.optimizer

    @property
    def flats(self) -> list[torch.Tensor]:
        flats: list[torch.Tensor] = self.optimizer.single_partition_of_fp32_groups
        return flats

    def gradient_norm(self) -> torch.Tensor:
        self.optimizer._wait_for_offload_copies()
        norm: torch.Tensor = self.optimizer.scaled_global_norm()
        return torch.where(norm < 0, norm, norm / self.optimizer.loss_scale)

    def use_loss_scale(self, factor: float) -> float:
        self.optimizer.override_loss_scale(factor)
        return 1.0

    def limit_gradient(self, max_norm: float) -> None:
        self.optimizer.clip_grad = max_norm

    def discard_gradients(self) -> None:
        optimizer = self.optimizer
        optimizer._wait_for_offload_copies()
        optimizer.zero_grad(set_to_none=True)
        optimizer._release_preflattened_grad_buffers()
        optimizer.micro_step_id = -1
        if optimizer.cpu_offload:
            optimizer.reset_cpu_buffers()
            return
        for group in optimizer.averaged_gradients:
            optimizer.averaged_gradients[group] = None
            optimizer.all_grad_tensors[group] = None

    def whole(self, tensor: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        if not hasattr(tensor, "_hp_mapping"):
            return tensor.detach(), {}
        self._link()
        numbers = _scalars(self.inner.state, self.flats)
        for what in _flat_names(self.inner.state, self.flats):
            numbers[what] = safe_get_full_optimizer_state(tensor, what)
        return safe_get_full_fp32_param(tensor), numbers

    def set_weights(self, values: Iterator[tuple[str, torch.Tensor]], tensors: Tensors) -> None:
        from deepspeed.utils import safe_set_full_fp32_param

        for tensor, value in _matched(values, tensors):
            if hasattr(tensor, "_hp_mapping"):
                safe_set_full_fp32_param(tensor, value)
            else:
                tensor.data.copy_(value)
        self.optimizer.update_lp_params()

    def set_numbers(self, values: Iterator[tuple[str, torch.Tensor]], tensors: Tensors) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state

        for key, value in values:
            name, _, what = key.rpartition(".")
            _make_room(self.inner.state, self.flats, what, value, tensors[name].shape)
            self._link()
            if value.shape == tensors[name].shape:
                safe_set_full_optimizer_state(tensors[name], value, what)

    def _link(self) -> None:
        """Tell each parameter where its numbers are: DeepSpeed does so after the first group."""
        self.optimizer._hp_optimizer_states_linked = False
        self.optimizer._lazy_init_hp_params_optimizer_state()


class _Stage3:
    """Stage 3: each process owns a piece of every parameter."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.optimizer = engine.optimizer
        self.inner = engine.optimizer.optimizer

    @property
    def flats(self) -> list[torch.Tensor]:
        flats: list[torch.Tensor] = self.optimizer.fp32_partitioned_groups_flat
        return flats

    def gradient_norm(self) -> torch.Tensor:
        from deepspeed.runtime.zero.stage3 import combine_grad_norm_groups

        norm: torch.Tensor = combine_grad_norm_groups(self.optimizer._get_norm_groups())
        return torch.where(norm < 0, norm, norm / self.optimizer.loss_scale)

    def use_loss_scale(self, factor: float) -> float:
        self.optimizer.override_loss_scale(factor)
        return 1.0

    def limit_gradient(self, max_norm: float) -> None:
        self.optimizer.clip_grad = max_norm

    def discard_gradients(self) -> None:
        self.optimizer._pre_step()
        self.optimizer._partition_all_parameters()
        self.optimizer._overflow_clean_up(self.optimizer.loss_scale)

    def whole(self, tensor: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
        from deepspeed.runtime.zero import GatheredParameters
        from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

        if not hasattr(tensor, "ds_id"):
            return tensor.detach(), {}
        if not tensor.requires_grad:
            with GatheredParameters([tensor]):
                return tensor.detach().clone(), {}
        numbers = _scalars(self.inner.state, self.flats)
        for what in _flat_names(self.inner.state, self.flats):
            numbers[what] = safe_get_full_optimizer_state(tensor, what)
        return safe_get_full_fp32_param(tensor), numbers

    def set_weights(self, values: Iterator[tuple[str, torch.Tensor]], tensors: Tensors) -> None:
        from deepspeed.utils import safe_set_local_fp32_param

        for tensor, value in _matched(values, tensors):
            if not hasattr(tensor, "ds_id"):
                tensor.data.copy_(value)
            elif tensor.requires_grad:
                safe_set_local_fp32_param(tensor, self._piece(tensor, value))
            else:
                piece: torch.Tensor = tensor.ds_tensor  # type: ignore[attr-defined]
                piece.copy_(self._piece(tensor, value))
        optimizer, timers = self.optimizer, set()  # type: ignore[var-annotated]
        optimizer._partition_all_parameters()
        for group in range(len(optimizer.fp16_groups)):
            on_drive = optimizer._swappable_optimizer_subgroup(group)
            if on_drive:
                optimizer._optimizer_states_and_gradient_swap_in(group, timers)
            optimizer._reassign_or_swap_out_partitioned_parameters(group)
            if on_drive:
                optimizer._optimizer_states_and_gradient_swap_out(group, timers)
        optimizer._post_step(timers)

    def set_numbers(self, values: Iterator[tuple[str, torch.Tensor]], tensors: Tensors) -> None:
        from deepspeed.utils import safe_set_local_optimizer_state

        for key, value in values:
            name, _, what = key.rpartition(".")
            tensor = tensors[name]
            _make_room(self.inner.state, self.flats, what, value, tensor.ds_shape)  # type: ignore[attr-defined]
            if value.shape == tensor.ds_shape:  # type: ignore[attr-defined]
                safe_set_local_optimizer_state(tensor, self._piece(tensor, value), what)

    def _piece(self, tensor: Any, value: torch.Tensor) -> torch.Tensor:
        """This process's piece of a whole tensor; the last piece is filled up with zeros."""
        size = tensor.ds_tensor.numel()
        rank = self.optimizer._get_param_partition_rank(tensor)
        piece = value.flatten()[rank * size : (rank + 1) * size]
        return torch.nn.functional.pad(piece, (0, size - piece.numel()))


def _matched(
    values: Iterator[tuple[str, torch.Tensor]], tensors: Tensors
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Each tensor of the model with its value."""
    missing = dict(tensors)
    for name, value in values:
        tensor = missing.pop(name)
        shape = getattr(tensor, "ds_shape", tensor.shape)
        if shape != value.shape:
            raise RuntimeError(f"{name} has the shape {list(value.shape)}, not {list(shape)}")
        yield tensor, value
    if missing:
        raise KeyError(f"no {', '.join(missing)}")


def _flat_names(state: Any, flats: list[torch.Tensor]) -> list[str]:
    """The optimizer's numbers that there are for each weight."""
    first = state.get(flats[0], {})
    return [
        what
        for what, value in first.items()
        if torch.is_tensor(value) and value.shape == flats[0].shape
    ]


def _scalars(state: Any, flats: list[torch.Tensor]) -> Tensors:
    """The optimizer's numbers that there is one of, such as the step."""
    return {
        what: torch.as_tensor(value, dtype=torch.float32).clone()
        for what, value in state.get(flats[0], {}).items()
        if not torch.is_tensor(value) or value.dim() == 0
    }


def _make_room(
    state: Any, flats: list[torch.Tensor], what: str, value: torch.Tensor, shape: torch.Size
) -> None:
    """Set a number that there is one of; make the flat tensors of one that every weight has."""
    for flat in flats:
        if value.shape != shape:
            state[flat][what] = value.clone().to(flat.device)
        elif what not in state.get(flat, {}):
            state[flat][what] = torch.zeros_like(flat)
