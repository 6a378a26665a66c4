"""Closed forms are sums of sizes, however they are written down; what is remembered is the same."""

from __future__ import annotations

import random
from math import prod

import pytest

from tests.estimate.everything import FAMILIES, anything
from workbench.config.schema import Config
from workbench.estimate.engines.choose import ledger_of
from workbench.estimate.estimate import Estimate
from workbench.estimate.fit.edits import changed
from workbench.estimate.network.network import Sized
from workbench.estimate.network.sizes import Segment, Sizes
from workbench.estimate.network.symbols import SYMBOLS
from workbench.estimate.setting import Setting
from workbench.estimate.tape.compile import Tally
from workbench.estimate.tape.source import Source
from workbench.estimate.tensors import weights_of
from workbench.hardware.devices import device


def test_a_source_computes_what_was_asked_for() -> None:
    source = Source(("A", "N", "B", "D", "E"))
    sizes = ["4*B*D", "2*D*B", "8*(E+1)", "2*(-(-(D)//N))*B*N", "3", "4*(-(-(D)//N))"]
    names = [source.size(size) for size in sizes]
    sums = [
        source.sum_of(zip(names, times, strict=True))
        for times in (
            (1, 0, 2, 0, 1, 0),
            (1, 1, 2, 0, 1, 0),
            (0, 3, 2, 5, 0, 1),
            (1, 0, 2, 0, 1, 0),
        )
    ]
    total = source.total("D*B+D*B+(-(-(D)//N))*N+2*D*E+0")
    found = source.function([*sums, source.most(sums), total])(512, 3, 5, 700, 9)
    scope = {"N": 3, "B": 5, "D": 700, "E": 9}
    a, b, c, d, e, f = (-(-_value(size, scope) // 512) * 512 for size in sizes)
    expected = [a + 2 * c + e, a + b + 2 * c + e, 3 * b + 2 * c + 5 * d + f, a + 2 * c + e]
    assert list(found) == [*expected, max(expected), 2 * 3500 + 702 + 2 * 6300]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("strategy", ["single", "fsdp"])
def test_closed_forms_are_the_largest_sums_of_their_sizes(family: str, strategy: str) -> None:
    config = anything(random.Random(f"{family} {strategy}"), strategy, family)
    net = _network(config)
    parts: list[tuple[Segment, Sizes]] = [
        (net.network.front, net.front),
        *zip(net.network.blocks, net.blocks, strict=True),
        (net.network.tail, net.tail),
    ]
    scope = dict(zip(SYMBOLS, net.symbols, strict=True))
    for segment, sizes in parts:
        for field, tallies in segment.groups.items():
            assert getattr(sizes, field) == _most(tallies, scope), (segment.name, field)
        if segment.steps is not None:
            each_of = zip(
                segment.steps.groups.items(), segment.steps.evaluate(*net.symbols), strict=True
            )
            for (name, tallies), size in each_of:
                assert size == _most(tallies, scope), (segment.name, name)
    shapes = {(s.name, name): shape for s, _ in parts for name, shape in s.parameters}
    named = {"front": parts[0][0].name, "tail": parts[-1][0].name}
    for each in weights_of(net):
        part = each.part if isinstance(each.part, str) else net.network.blocks[each.part].name
        shape = shapes[named.get(part, part), each.name]
        assert each.whole == tuple(_value(str(dim), scope) for dim in shape)
        assert each.numbers == each.total == prod(each.whole)


def _network(config: Config) -> Sized:
    hardware = device("h100_80gb")
    return ledger_of(config, Setting.of(config, hardware)).net


def _value(text: str, scope: dict[str, int]) -> int:
    return int(eval(text, {}, scope))  # noqa: S307 - our own arithmetic


def _most(tallies: tuple[Tally, ...], scope: dict[str, int]) -> int:
    alignment = scope["A"]
    sums = [
        sum(
            entry.times * (-(-_value(entry.size, scope) // alignment) * alignment)
            for entry in tally.entries
        )
        for tally in tallies
    ]
    return max(sums, default=0)


@pytest.mark.parametrize("strategy", ["single", "ddp", "fsdp"])
def test_what_is_remembered_is_what_would_be_computed(strategy: str) -> None:
    hardware = device("a100_40gb")
    plan = anything(random.Random(strategy), strategy, "gqa", adapted=0)
    edits: list[dict[str, object]] = [
        {},
        {"training.batch_size": plan.training.batch_size + 1},
        {"training.gradient_accumulation_steps": 4},
        {"training.use_ema": not plan.training.use_ema},
        {"model.num_layers": plan.model.num_layers + 1},
        {"data.max_length": 96},
        {},
    ]
    for each in edits * 2:
        config = changed(plan, each)
        setting = Setting.of(config, hardware)
        known, fresh = ledger_of(config, setting), ledger_of(config, setting, remembered=False)
        assert [m.bytes for m in known.moments] == [m.bytes for m in fresh.moments]
        assert known.moments[-1].lines() == fresh.moments[-1].lines()


def test_plans_that_take_the_same_memory_share_it() -> None:
    plan = anything(random.Random(1), "single", "gqa")
    other = changed(plan, {"training.learning_rate": 0.5})
    hardware = device("h100_80gb")
    one, two = (Estimate.of(each, hardware).memory for each in (plan, other))
    assert one.ledger is two.ledger
    assert two.config is other
