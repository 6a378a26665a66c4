"""Make it fit: what is proposed fits, keeps the step, and is the best there is."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from workbench.config.degrees import Degrees
from workbench.config.profile import HardwareProfile
from workbench.config.rules import Subject, check
from workbench.config.schema import Config
from workbench.estimate.batch import Batch
from workbench.estimate.fit import (
    FitResult,
    Limits,
    cards,
    cheapest_card,
    fit,
    largest_micro_batch,
    longest_sequence,
    smallest_card,
)
from workbench.estimate.fit.edits import changed
from workbench.estimate.fit.judge import Judge, need_of
from workbench.estimate.fit.pace import Pacer
from workbench.estimate.fit.search import divisors, sequences
from workbench.estimate.fit.variants import variants
from workbench.estimate.memory import memory_of
from workbench.hardware.devices import device, names
from workbench.plan import plan_from

GPU = device("h100_80gb")
DENSE = Limits(sharding=False, offload=False)


def plan(**sections: dict[str, Any]) -> Config:
    """A model of 0.9 B parameters with a step of 32 sequences."""
    tree: dict[str, Any] = {
        "model": {
            "hidden_size": 2048,
            "num_layers": 16,
            "num_attention_heads": 16,
            "intermediate_size": 5632,
            "vocab_size": 32000,
            "max_position_embeddings": 4096,
        },
        "training": {"batch_size": 32, "mixed_precision": "bf16"},
        "data": {"max_length": 2048},
    }
    for name, values in sections.items():
        tree[name] = tree.get(name, {}) | values
    return Config.model_validate(tree)


def on(card: str, config: Config, **limits: Any) -> FitResult:
    return fit(config, device(card), limits=Limits(**limits))


@pytest.mark.parametrize("devices", [1, 8])
def test_what_is_proposed_fits_and_keeps_the_step(devices: int) -> None:
    config = plan(parallel={"devices_per_node": devices})
    before = Batch.of(config, Degrees.of(config).data)
    result = on("h100_80gb", config)
    assert result.proposals
    usable = 80 * 2**30 * 0.97
    for each in result.proposals:
        after = Batch.of(each.config, Degrees.of(each.config).data)
        assert (after.sequences, after.tokens) == (before.sequences, before.tokens)
        assert each.need.bytes == need_of(memory_of(each.config, GPU)).bytes <= usable
        assert each.headroom == int(usable) - each.need.bytes
        assert (
            changed(config, each.edits)
            == each.config
            == Config.model_validate(each.config.model_dump())
        )


def test_best_first_is_the_order_of_all() -> None:
    """The same answer as computing every single plan and sorting."""
    config = plan()
    judge, pacer = Judge(GPU, GPU.memory_bytes, 0.03), Pacer(config, GPU)
    best = float("inf")
    for variant, micro in product(variants(config, GPU, DENSE), divisors(32)):
        edits = {"training.batch_size": micro, "training.gradient_accumulation_steps": 32 // micro}
        one = changed(variant.config, edits)
        if judge.fits(judge.need(one)):
            best = min(best, pacer(one).order)
    found = fit(config, GPU, limits=DENSE).best
    assert found is not None
    assert found.pace.order == pytest.approx(best, rel=1e-3)
    orders = [each.pace.order for each in fit(config, GPU, limits=DENSE).proposals]
    assert orders == sorted(orders)


@pytest.mark.parametrize("batch", [1, 32])
def test_each_row_takes_less_than_the_faster_ones(batch: int) -> None:
    config = plan(parallel={"devices_per_node": 8}, training={"batch_size": batch})
    rows = on("h100_80gb", config).proposals
    others = [each for each in rows if each.edits]
    needs = [each.need.bytes for each in others]
    assert needs == sorted(needs, reverse=True)
    assert len(set(needs)) == len(needs)
    assert all(each.pace.order <= 1.5 * others[0].pace.order for each in others)
    itself = [each for each in rows if not each.edits]
    assert len(itself) == (batch == 1)


def test_offload_counts_the_host_s_memory() -> None:
    config = plan(model={"num_layers": 48, "hidden_size": 4096, "num_attention_heads": 32})
    small = replace(GPU, host_memory_bytes=2**30)
    result = fit(config, small)
    for each in result.proposals:
        assert "cpu" not in " ".join(each.changes)
    assert not result.proposals
    host = [each for each in result.nearest if each.need.host]
    assert host
    assert all(each.fits is False for each in host)


@pytest.mark.parametrize("seed", range(6))
def test_random_plans_never_get_a_proposal_that_does_not_fit(seed: int) -> None:
    rng = random.Random(seed)
    card = device(rng.choice(["t4", "rtx_4090", "a100_40gb", "h100_80gb"]))
    config = plan(
        model={
            "hidden_size": rng.choice([1024, 2048, 4096]),
            "num_layers": rng.choice([8, 24]),
            "num_attention_heads": 16,
            "max_position_embeddings": 4096,
            "intermediate_size": 4096,
        },
        training={"batch_size": rng.choice([6, 16, 60])},
        parallel={"devices_per_node": rng.choice([1, 4])},
    )
    result = fit(config, card)
    assert result.capacity == card.memory_bytes
    assert card.memory_bytes is not None
    for each in result.proposals:
        assert each.fits
        assert need_of(memory_of(each.config, card)).bytes <= card.memory_bytes * 0.97
    for each in result.nearest:
        assert each.fits is False
        assert each.headroom is not None
        assert each.headroom < 0


def test_the_rules_accept_what_is_proposed() -> None:
    config = plan(parallel={"devices_per_node": 8})
    errors = {f.rule for f in check(Subject(config, {}, GPU)) if f.severity == "error"}
    for each in on("h100_80gb", config).proposals:
        found = check(Subject(each.config, {}, GPU))
        assert {f.rule for f in found if f.severity == "error"} <= errors
        assert not [f for f in found if f.rule == "not-honoured"]


def test_what_the_rules_refuse_is_not_proposed() -> None:
    # split_weights is for strategies that copy the weights.
    config = plan(
        parallel={"devices_per_node": 8, "strategy": "ddp"},
        training={"split_weights": True, "batch_size": 4},
    )
    result = on("h100_80gb", config)
    strategies = {each.config.parallel.strategy for each in result.proposals}
    assert "fsdp" not in strategies


def test_what_may_not_change_does_not() -> None:
    config = plan(training={"mixed_precision": "no"}, parallel={"devices_per_node": 8})
    free = on("h100_80gb", config).proposals
    assert any("bf16" in each.changes for each in free)
    kept = on("h100_80gb", config, precision=False, sharding=False, recompute=False).proposals
    for each in kept:
        assert set(each.edits) <= {
            "training.batch_size",
            "training.gradient_accumulation_steps",
            "fsdp.cpu_offload",
        }


def test_another_optimizer_only_when_asked_for() -> None:
    config = plan()
    assert {each.config.training.optimizer for each in on("t4", config).proposals} <= {"adamw"}
    asked = fit(config, GPU, limits=Limits(optimizers=("onebitadam", "adamw")))
    # DeepSpeed has no 1-bit optimizers any more, and adamw is the plan's own.
    assert {each.config.training.optimizer for each in asked.proposals} == {"adamw"}


def test_a_plan_that_fits_is_its_own_first_answer() -> None:
    config = plan(training={"batch_size": 1})
    result = fit(config, GPU, limits=DENSE)
    assert result.plan.fits
    assert result.best is not None
    assert result.best.edits == {}


def test_where_nothing_fits_the_smallest_change_of_hardware_is_named() -> None:
    config = plan(model={"hidden_size": 8192, "num_attention_heads": 64, "num_layers": 40})
    limits = Limits(offload=False)
    result = fit(config, GPU, limits=limits, profiles=[device(name) for name in names()])
    assert not result.proposals
    assert result.nearest
    more, *others = result.remedies
    assert more.kind == "devices"
    assert more.best.fits
    fewer = [n for n in range(2, more.devices) if 32 % n == 0]
    for number in fewer[-1:]:
        few = changed(config, _spread(config, number))
        assert not on("h100_80gb", few, offload=False).proposals
    assert all(each.kind == "card" and each.best.hardware != GPU for each in others)
    costs = [each.best.pace.dollars for each in others]
    assert costs == sorted(costs, key=lambda cost: float("inf") if cost is None else cost)


def _spread(config: Config, devices: int) -> dict[str, Any]:
    return {
        "parallel.devices_per_node": devices,
        "training.batch_size": config.training.batch_size // devices,
    }


def test_without_a_known_memory_nothing_is_judged() -> None:
    result = fit(plan(), None)
    assert result.plan.fits is None
    assert not largest_micro_batch(plan(), None).judged
    assert not result.proposals
    assert any("not known" in note for note in result.notes)


def test_what_is_computed_again_and_small_micro_batches_cost_time() -> None:
    config = plan()
    pacer = Pacer(config, GPU)
    own = pacer(config)
    again = pacer(changed(config, {"training.gradient_checkpointing": True}))
    small = {"training.batch_size": 1, "training.gradient_accumulation_steps": 32}
    assert own.seconds is not None
    assert again.seconds is not None
    assert 1.2 < again.seconds / own.seconds < 1.4
    assert pacer(changed(config, small)).order > own.order


def test_the_largest_micro_batch_and_the_longest_sequence_are_the_largest() -> None:
    config = plan()
    usable = int(80 * 2**30 * 0.97)

    def needs(edits: dict[str, Any]) -> int:
        return need_of(memory_of(changed(config, edits), GPU)).bytes

    micro = largest_micro_batch(config, GPU)
    assert needs(micro.edits) <= usable < needs({"training.batch_size": micro.value + 1})
    longest = longest_sequence(plan(training={"batch_size": 1}), GPU)
    assert longest.value % 64 == 0
    assert longest.edits["data.max_length"] == longest.value
    assert longest.need is not None
    assert longest.need.bytes <= usable


def test_a_device_that_is_too_small_for_anything() -> None:
    config = plan(model={"num_layers": 48})
    assert largest_micro_batch(config, device("t4")).value == 0
    assert longest_sequence(config, device("t4")).value == 0
    assert smallest_card(config, [device("t4")]) is None


def test_the_smallest_and_the_cheapest_card() -> None:
    config = plan(training={"batch_size": 1})
    profiles: list[HardwareProfile] = [device(name) for name in names()]
    found = cards(config, profiles)
    sizes = [card.hardware.memory_bytes or 0 for card in found]
    assert sizes == sorted(sizes)
    smallest = smallest_card(config, profiles)
    assert smallest is not None
    assert all(not card.fits for card in found[: found.index(smallest)])
    cheapest = cheapest_card(config, profiles)
    assert cheapest is not None
    prices = [c.hardware.price_per_hour for c in found if c.fits and c.hardware.price_per_hour]
    assert cheapest.hardware.price_per_hour == min(prices)


def test_a_result_is_data_for_programs() -> None:
    data = fit(plan(), GPU).to_dict()
    assert data["proposals"][0]["fits"] is True
    assert data["considered"] >= len(data["proposals"])
    assert data["plan"]["batch_size"] == 32


@pytest.mark.parametrize(("number", "expected"), [(1, [1]), (12, [12, 6, 4, 3, 2, 1])])
def test_divisors(number: int, expected: list[int]) -> None:
    assert divisors(number) == expected
    many = divisors(720720)
    assert len(many) <= 64
    assert many[0] == 720720
    assert many[-1] == 1


def test_bf16_gives_way_to_fp16_where_it_is_only_imitated() -> None:
    result = on("t4", plan(training={"mixed_precision": "bf16"}))
    changed_ones = [each for each in result.proposals if each.edits]
    assert changed_ones
    assert all(each.config.training.mixed_precision == "fp16" for each in changed_ones)


def test_what_only_fits_on_the_host_is_told_beside_what_costs_less() -> None:
    """A plan that waits on its host all the time may cost more than a few more devices."""
    plan_of_base = plan_from(layers=["gpu/base", "hardware/h100_80gb"])
    config, origins = plan_of_base.config, plan_of_base.composed.origins
    result = fit(config, device("h100_80gb"), origins=origins, profiles=[GPU])
    assert result.proposals
    costs = [each.pace.dollars for each in result.proposals if each.pace.dollars is not None]
    assert result.remedies
    for each in result.remedies:
        assert each.best.fits
        assert each.best.pace.dollars is not None
        assert each.best.pace.dollars < min(costs)
    assert sequences(result.remedies[0].best.config) == sequences(config)


def test_nothing_moves_to_a_host_that_nobody_knows() -> None:
    plan_of_base = plan_from(layers=["gpu/base", "hardware/h100_80gb"])
    cards = [device(name) for name in names()]
    result = fit(plan_of_base.config, GPU, origins=plan_of_base.composed.origins, profiles=cards)
    for each in result.remedies:
        assert each.best.hardware is not None
        host = each.best.hardware.host_memory_bytes
        assert host is not None or not each.best.need.host
