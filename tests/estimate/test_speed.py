"""Time of a step, traffic, money: against hand-made arithmetic, and the ways it may not go."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.config.schema import Config
from workbench.config.size import size_of
from workbench.estimate.fit.edits import changed
from workbench.estimate.money import bill_of
from workbench.estimate.speed import Speed, Unknown, measured_here, rate_of, speed_of
from workbench.estimate.traffic import Numbers, flows
from workbench.hardware.devices import device
from workbench.plan import plan_from

P = 8_000_000_000
LLAMA_8B = Numbers(parameters=P, trained=P, blocks=32, width=4096)


def plan(**sections: dict[str, Any]) -> Config:
    data = {"max_length": 4096} | sections.pop("data", {})
    training = {"batch_size": 1, "mixed_precision": "bf16"} | sections.pop("training", {})
    return Config.model_validate({"data": data, "training": training} | sections)


def speed(config: Config, name: str = "h100_80gb", numbers: Numbers = LLAMA_8B) -> Speed:
    degree = config.parallel.num_nodes * config.parallel.devices_per_node
    tokens = config.training.batch_size * config.training.gradient_accumulation_steps * 4096
    found = speed_of(config, device(name), flops=6.0 * P * tokens * degree, numbers=numbers)
    assert isinstance(found, Speed)
    return found


def test_one_device_is_flops_over_peak_times_mfu() -> None:
    found = speed(plan())
    seconds = 6 * P * 4096 / (989.4e12 * 0.403)
    assert found.step_seconds.likely == pytest.approx(seconds)
    assert found.tokens_per_second.likely == pytest.approx(4096 / seconds)
    assert found.mfu == pytest.approx(0.403)
    assert found.flows == ()
    assert found.step_seconds.low < seconds < found.step_seconds.high
    assert found.tokens_per_second.low == pytest.approx(4096 / found.step_seconds.high)
    assert "llm-foundry" in found.assumptions[0]


def test_a_clouds_instance_reaches_what_its_card_does() -> None:
    assert speed(plan(), "p5.48xlarge").step_seconds == speed(plan()).step_seconds


def test_a_card_without_figures_says_that_it_assumes() -> None:
    found = speed(plan(), "l40s")
    assert "assumed" in found.assumptions[0]
    wide, narrow = found.step_seconds, speed(plan()).step_seconds
    assert wide.high / wide.low > narrow.high / narrow.low


def test_what_was_measured_here_wins() -> None:
    found = speed_of(
        plan(), device("l40s"), flops=1e15, numbers=LLAMA_8B, measured=measured_here(0.5)
    )
    assert isinstance(found, Speed)
    assert found.compute_seconds == pytest.approx(1e15 / (362e12 * 0.5))


def test_no_peak_no_figure() -> None:
    for name in ("cpu", "p150", "apple"):
        found = speed_of(plan(), device(name), flops=1e15, numbers=LLAMA_8B)
        assert isinstance(found, Unknown)
        assert "ava measure" in found.fix
    assert isinstance(speed_of(plan(), None, flops=1e15, numbers=LLAMA_8B), Unknown)


def test_what_is_not_built_is_reckoned_as_what_is_trained_instead() -> None:
    fp8, bf16 = (speed(plan(training={"mixed_precision": each})) for each in ("fp8", "bf16"))
    assert fp8.step_seconds == bf16.step_seconds
    assert (fp8.precision, fp8.peak) == ("bf16", 989.4e12)
    assert any("the plan says fp8" in each for each in fp8.assumptions)


def test_a_small_model_waits_for_its_host() -> None:
    numbers = Numbers(parameters=10**6, trained=10**6, blocks=8, width=64)
    config = plan(training={"gradient_accumulation_steps": 4})
    found = speed_of(config, device("h100_80gb"), flops=1e9, numbers=numbers)
    assert isinstance(found, Speed)
    assert found.compute_seconds == pytest.approx(4 * 8 * 100 * 5e-6)
    assert any("small model" in each for each in found.assumptions)
    known = speed_of(
        config, device("h100_80gb"), flops=1e9, numbers=numbers, measured=measured_here(0.3)
    )
    assert isinstance(known, Speed)
    assert known.compute_seconds < found.compute_seconds


@pytest.mark.parametrize(
    ("sections", "volume"),
    [
        ({"parallel": {"strategy": "ddp"}}, 2 * 4 * P * 7 / 8),
        ({"parallel": {"strategy": "fsdp"}}, (2 * 2 + 4) * P * 7 / 8),
        (
            {"parallel": {"strategy": "fsdp"}, "fsdp": {"sharding_strategy": "shard_grad_op"}},
            (2 + 4) * P * 7 / 8,
        ),
        ({"deepspeed": {"enabled": True, "zero_stage": 0}}, 2 * 2 * P * 7 / 8),
        ({"deepspeed": {"enabled": True, "zero_stage": 1}}, 2 * 2 * P * 7 / 8),
        ({"deepspeed": {"enabled": True, "zero_stage": 3}}, 3 * 2 * P * 7 / 8),
    ],
)
def test_volumes_of_data_parallelism(sections: dict[str, Any], volume: float) -> None:
    parallel = {"devices_per_node": 8} | sections.pop("parallel", {})
    found = flows(plan(parallel=parallel, **sections), LLAMA_8B)
    assert sum(flow.volume for flow in found) == pytest.approx(volume)


def test_accumulation_fetches_sharded_parameters_again() -> None:
    sections = {"parallel": {"strategy": "fsdp", "devices_per_node": 8}}
    one, four = (
        flows(plan(training={"gradient_accumulation_steps": each}, **sections), LLAMA_8B)
        for each in (1, 4)
    )
    assert four[0].volume == pytest.approx(4 * one[0].volume)
    ddp = {"parallel": {"strategy": "ddp", "devices_per_node": 8}}
    one, four = (
        flows(plan(training={"gradient_accumulation_steps": each}, **ddp), LLAMA_8B)
        for each in (1, 4)
    )
    assert four == one


def test_hybrid_sharding_keeps_the_large_traffic_in_the_node() -> None:
    parallel = {"strategy": "fsdp", "devices_per_node": 8, "num_nodes": 4}
    full = speed(plan(parallel=parallel), "a100_80gb")
    hybrid = speed(plan(parallel=parallel, fsdp={"sharding_strategy": "hybrid"}), "a100_80gb")
    assert hybrid.exposed_seconds <= full.exposed_seconds
    between = [flow for flow in hybrid.flows if "between nodes" in flow.name]
    assert between[0].volume == pytest.approx(2 * 4 * P / 8 * 3 / 4)


def test_a_slow_network_is_felt() -> None:
    ddp = {"strategy": "ddp", "devices_per_node": 8}
    node, cluster = (
        speed(plan(parallel=ddp | {"num_nodes": nodes}), "p4d.24xlarge") for nodes in (1, 8)
    )
    assert node.exposed_seconds < cluster.exposed_seconds
    assert cluster.mfu < node.mfu


def test_offload_costs_the_bus_and_the_processor() -> None:
    sharded = {"enabled": True, "zero_stage": 3}
    offloaded = sharded | {"offload_optimizer": {"device": "cpu"}}
    parallel = {"devices_per_node": 8}
    stays, leaves = (
        speed(plan(parallel=parallel, deepspeed=each)) for each in (sharded, offloaded)
    )
    assert stays.host_seconds == 0
    assert leaves.host_seconds == pytest.approx(P * 28 / 100e9)
    assert leaves.step_seconds.likely > stays.step_seconds.likely
    assert any("host" in each for each in leaves.assumptions)


def test_unknown_links_are_said() -> None:
    found = speed(plan(parallel={"strategy": "ddp", "devices_per_node": 8, "num_nodes": 2}), "l40s")
    assert any("not counted" in each for each in found.assumptions)


def test_a_pipeline_idles_at_its_ends() -> None:
    parallel = {"devices_per_node": 8, "pipeline_parallel_size": 8}
    few, many = (
        speed(plan(parallel=parallel, training={"gradient_accumulation_steps": each}))
        for each in (8, 64)
    )
    assert few.compute_seconds * 8 > many.compute_seconds, "8 times the work, less idling"
    assert few.mfu < many.mfu


def test_the_bill() -> None:
    config = plan(parallel={"strategy": "ddp", "devices_per_node": 8})
    found = speed(config)
    bill = bill_of(config, device("h100_80gb"), found, steps=3600, parameters=P)
    assert bill.tokens == 3600 * 8 * 4096
    assert bill.hours.likely == pytest.approx(found.step_seconds.likely)
    assert bill.dollars is not None
    assert bill.dollars.likely == pytest.approx(bill.hours.likely * 3.78 * 8)
    assert bill.kilowatt_hours is not None
    assert bill.kilowatt_hours.likely == pytest.approx(bill.hours.likely * 5.6)
    assert bill.optimal_tokens == 20 * P
    assert bill.share_of_optimal == pytest.approx(bill.tokens / (20 * P))
    free = bill_of(config, device("p150"), found, steps=1, parameters=P)
    assert (free.dollars, free.price_date) == (None, None)


def test_a_ring_crosses_the_network_once_for_each_node() -> None:
    """NCCL's bus bandwidth between nodes is that of all adapters of a node together."""
    parallel = {"strategy": "fsdp", "devices_per_node": 8, "num_nodes": 2}
    config, h100 = plan(parallel=parallel), device("h100_80gb")
    gather, *_ = flows(config, LLAMA_8B)
    assert h100.network_bandwidth is not None
    assert rate_of(gather, config, h100) == h100.network_bandwidth
    between = plan(parallel=parallel, fsdp={"sharding_strategy": "hybrid"})
    gradients = [each for each in flows(between, LLAMA_8B) if "between nodes" in each.name]
    assert rate_of(gradients[0], between, h100) == h100.network_bandwidth / 8


def test_data_parallel_groups_far_apart_are_on_the_network() -> None:
    parallel = {"devices_per_node": 8, "num_nodes": 2, "tensor_parallel_size": 8}
    config, h100 = plan(parallel=parallel), device("h100_80gb")
    found = {each.name: rate_of(each, config, h100) for each in flows(config, LLAMA_8B)}
    assert h100.network_bandwidth is not None
    assert found["gradients"] == h100.network_bandwidth / 8, "one device of a node in each group"
    assert found["tensor-parallel sums"] == h100.link_bandwidth


def test_a_card_without_bf16_says_so() -> None:
    found = speed_of(
        plan(training={"mixed_precision": "bf16"}), device("t4"), flops=1e15, numbers=LLAMA_8B
    )
    assert isinstance(found, Unknown)
    assert "no bf16 matrix units" in found.why
    assert "fp16" in found.fix


def test_experts_that_are_divided_reduce_among_those_who_share_them() -> None:
    config = plan_from(layers=["models/mixtral_8x7b"]).config
    size = size_of(config.model)
    routed = dict(size.parts)["experts"]
    for degree in (2, 8):
        edits = {"parallel.devices_per_node": 8, "parallel.expert_parallel_size": degree}
        one = changed(config, edits | {"parallel.strategy": "ddp"})
        found = {each.name: each.volume for each in flows(one, Numbers.of(one, size))}
        assert found["gradients"] == pytest.approx(8 * (size.total - routed) * 7 / 8)
        sharing = 8 // degree
        own = 8 * routed / degree * (sharing - 1) / sharing
        assert found.get("gradients of experts", 0) == pytest.approx(own)


def test_a_divided_sequence_sends_its_keys_and_values_round() -> None:
    config = plan(parallel={"devices_per_node": 4, "context_parallel_size": 4})
    found = flows(config, LLAMA_8B._replace(keys=1024))
    (ring,) = [each for each in found if "ring" in each.name]
    assert ring.volume == 6 * 4096 / 4 * 2 * 1024 * 32 * 3
    assert ring.overlaps
