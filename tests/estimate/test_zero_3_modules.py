"""Stage 3 module by module: the same modules in the same order as DeepSpeed's, and its window."""

from __future__ import annotations

import random
import warnings
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import torch

from tests.estimate.everything import anything
from tests.estimate.test_ledger import DTYPES
from workbench.config.schema import Config
from workbench.estimate.engines.base import segment_of
from workbench.estimate.engines.zero_3_stays import stays_of
from workbench.estimate.engines.zero_3_steps import Hold, Rules, Step
from workbench.estimate.engines.zero_3_window import Window
from workbench.estimate.memory import memory_of
from workbench.estimate.tensors import weights_of
from workbench.training.engines.deepspeed_start import load_deepspeed
from workbench.training.tracer.storages import Storages
from workbench.training.tracer.trace import trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.estimate.network.network import Sized

# DeepSpeed's imports, some of them late.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")

Seen = tuple[str, tuple[int, ...]]
"""What happens to a module, and the sizes of its weights."""


def config_of(family: str, seed: int, adapted: float) -> Config:
    """A small config whose weights are all fetched."""
    tree = anything(
        random.Random(f"modules {family} {seed}"), "single", family, adapted=adapted
    ).model_dump(mode="json")
    tree["training"] |= {
        "optimizer": "adamw", "mixed_precision": "bf16", "clip_grad_value": None,
        "split_weights": False, "kahan_summation": False, "stochastic_rounding": False,
        "use_ema": False, "batch_size": 1, "gradient_accumulation_steps": 1,
    }  # fmt: skip
    tree["data"]["max_length"] = 33
    tree["parallel"] |= {"strategy": "auto", "devices_per_node": 2}
    tree["deepspeed"] |= {
        "enabled": True,
        "zero_stage": 3,
        "stage3_param_persistence_threshold": 0,
        "reduce_bucket_size": 10**6,
    }
    return Config.model_validate(tree)


def of_deepspeed(config: Config) -> list[Seen]:
    """What its coordinator is told in a step."""
    with warnings.catch_warnings():  # of torch.jit, in DeepSpeed's own imports
        warnings.simplefilter("ignore")
        load_deepspeed(torch.device("cpu"))
    from deepspeed.runtime.zero.partitioned_param_coordinator import (
        PartitionedParameterCoordinator as Coordinator,
    )
    from deepspeed.runtime.zero.partitioned_param_coordinator import iter_params

    seen: list[Seen] = []
    fetch, release, mark = (
        Coordinator.fetch_sub_module,
        Coordinator.release_sub_module,
        Storages.mark,
    )

    def note(kind: str, module: Any, *, forward: bool) -> None:
        sizes = tuple(sorted(each.ds_numel for each in iter_params(module)))
        seen.append((kind if forward else f"{kind} back", sizes))

    def fetched(self: Any, module: Any, forward: bool) -> Any:  # noqa: FBT001 - DeepSpeed's own
        note("fetch", module, forward=forward)
        return fetch(self, module, forward)

    def released(self: Any, module: Any, forward: bool = False) -> Any:  # noqa: FBT001, FBT002
        note("release", module, forward=forward)
        return release(self, module, forward)

    def marked(self: Storages) -> None:
        seen.clear()  # the first step
        mark(self)

    setting = memory_of(config).setting
    with (
        mock.patch.object(Coordinator, "fetch_sub_module", fetched),
        mock.patch.object(Coordinator, "release_sub_module", released),
        mock.patch.object(Storages, "mark", marked),
    ):
        trace(
            config,
            compute_dtype=DTYPES[setting.precision],
            recompute=setting.recompute,
            cpu=setting.cpu,
        )
    return seen


def of_ledger(net: Sized) -> Iterator[Seen]:
    """What the ledger says that it is told."""
    from workbench.estimate.engines.zero_3_pass import Follower

    follower = Follower(net, weights_of(net), stays_of(net, weights_of(net), 0, None), RULES)
    for backward in (False, True):
        places = reversed(follower.places) if backward else follower.places
        for place in places:
            for _, step in follower.visits(place, backward=backward):
                if isinstance(step, Step):
                    kind = "fetch" if step.begins else "release"
                    sizes = tuple(sorted(follower.numbers[each] for each in step.weights))
                    yield (f"{kind} back" if step.backward else kind), sizes


@pytest.mark.parametrize(
    ("family", "seed", "adapted"),
    [("decoder", 1, 0), ("mla", 2, 0), ("moe", 3, 0), ("bert", 2, 0), ("t5", 1, 0), ("gqa", 5, 1)],
)
def test_modules_follow_each_other_as_deepspeed_sees_them(
    family: str, seed: int, adapted: float
) -> None:
    config = config_of(family, seed, adapted)
    net = memory_of(config).ledger.net
    assert segment_of(net, "front").onwards is not None
    assert list(of_ledger(net)) == of_deepspeed(config)


RULES = Rules(
    devices=2, width=2, alignment=1, ahead=0, live=1000, reuse=0, summed=False, comes_over=False,
    accumulating=False,
)  # fmt: skip


def window(*steps: Step, sizes: tuple[int, ...] = (10, 20, 31), **rules: Any) -> Window:
    """A window over three weights that learn."""
    three = len(sizes)
    return Window(RULES._replace(**rules), sizes, [False] * three, [True] * three, steps)


def step(module: int, *weights: int, begins: bool = True, backward: bool = False) -> Step:
    """A module begins or ends."""
    return Step(module, begins, backward, weights)


def test_a_weight_is_whole_while_its_module_runs() -> None:
    begin, end = step(0, 2), step(0, 2, begins=False)
    found = window(begin)
    found.see(begin)
    assert found.bytes == 2 * 32  # filled up to two equal pieces, which it is then a view of
    found.see(end)
    assert found.bytes == 0


def test_several_are_copied_out_of_their_buffer() -> None:
    begin = step(0, 0, 1)
    found = window(begin)
    found.see(begin)
    assert (found.bytes, found.most) == (2 * 30, 4 * 30)


def test_a_buffer_lives_until_the_last_of_its_weights_is_needed() -> None:
    steps = [step(0, 0), step(1, 1), step(2, 2)]
    found = window(*steps, ahead=40)
    sizes = []
    for each in steps:
        found.see(each)
        sizes.append(found.bytes)
    # The first one alone; the others in a buffer; copies of both beside it; the buffer goes.
    assert sizes == [20 + 104, 20 + 104 + 102, 20 + 102]


def test_no_more_is_fetched_ahead_than_may_be_whole() -> None:
    steps = [step(0, 0), step(1, 1), step(2, 2)]
    found = window(*steps, ahead=40, live=30)
    found.see(steps[0])
    assert found.bytes == 20 + 40


def test_what_is_needed_again_soon_is_kept() -> None:
    steps = [step(0, 0), step(0, 0, begins=False), step(1, 1), step(0, 0, backward=True)]
    near, far = window(*steps, reuse=21), window(*steps, reuse=20)
    for found in (near, far):
        found.see(steps[0])
        found.see(steps[1])
    assert (near.bytes, far.bytes) == (20, 0)


def test_what_is_held_stays_when_its_weight_goes() -> None:
    begin = step(0, 0)
    found = window(begin)
    found.see(begin)
    found.hold(Hold(0, begins=True))
    found.see(step(0, 0, begins=False))
    assert found.bytes == 20
    found.hold(Hold(0, begins=False))
    assert found.bytes == 0


def test_small_weights_stay_whole_as_long_as_there_is_room() -> None:
    model = {"hidden_size": 64, "num_attention_heads": 4, "num_layers": 2, "vocab_size": 300}
    tree = {"model": model, "deepspeed": {"enabled": True, "zero_stage": 3}}
    net = memory_of(Config.model_validate(tree)).ledger.net
    weights = weights_of(net)
    assert not stays_of(net, weights, 64, None).but
    # Of the five norms, the first two.
    left = stays_of(net, weights, 64, 128).but
    assert sorted(left) == [(1, 1, "attention_norm.weight"), (1, 1, "feed_forward_norm.weight"),
                            (2, 0, "norm.weight")]  # fmt: skip
