"""CPU time of one estimate, of an estimate with 30 what-ifs, and of a search for plans that fit.

    python tests/benchmarks/bench_estimate.py [--rounds N] [--json] [--every-kind]

Each round runs every task once, in turns, so that a busy machine is unfair to all alike; times are
the process's own CPU time, warm, the smallest and the middle of all rounds. The peers do the same
job in the same round:

    DeepSpeed        its closed form of model states, which knows no activations
    transformers     the model on the meta device, to count its parameters: what calculators of
                     the hub begin with
    one by one       every plan that the search stands for, validated and estimated

``--every-kind`` prints a table of plans of every family with every engine instead: an estimate of a
plan that was seen before, as it is with every key that takes no memory; of one with other widths,
as it is with the others; one with all what-ifs; and a search.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.kinds_of_plans import ENGINES, FAMILIES, others_of, plan_of
from workbench.config.schema import Config
from workbench.estimate.estimate import Estimate
from workbench.estimate.fit import Limits, fit
from workbench.estimate.fit.edits import changed
from workbench.estimate.fit.search import divisors
from workbench.estimate.fit.variants import variants
from workbench.estimate.what_if import what_if
from workbench.hardware.devices import device, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.profile import HardwareProfile

GOALS = {
    "one estimate": 0.3,
    "one estimate, FSDP": 0.3,
    "estimate and 30 what-ifs": 5.0,
    "estimate and 30 what-ifs, FSDP": 5.0,
    "fit": 300.0,
    "fit, nothing fits": 300.0,
}
CANDIDATES = 2000
CARDS = (
    "t4", "v100_16gb", "v100_32gb", "rtx_3090", "rtx_4090", "rtx_5090", "rtx_a6000", "a10g", "l4",
    "l40s", "a100_40gb", "a100_80gb", "h100_80gb_pcie", "h200", "b200", "mi300x", "g5.48xlarge",
    "p4de.24xlarge", "p5en.48xlarge",
)  # fmt: skip
ONE_BY_ONE = 40
_AT_ONCE = 20
"""Estimates that are timed together: one is shorter than the clock is exact."""


def llama(**parallel: Any) -> Config:
    """Llama-3-8B with a step of 720 sequences."""
    return Config.model_validate(
        {
            "model": {
                "hidden_size": 4096,
                "num_layers": 32,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "intermediate_size": 14336,
                "vocab_size": 128256,
                "max_position_embeddings": 8192,
            },
            "training": {
                "batch_size": 6,
                "gradient_accumulation_steps": 120 // parallel.get("devices_per_node", 1),
                "mixed_precision": "no",
            },
            "data": {"max_length": 8192},
            "parallel": parallel,
        }
    )


def tasks() -> dict[str, Callable[[], object]]:
    """What is timed, by name; the goals have theirs."""
    card = device("h100_80gb")
    single, several = llama(), llama(strategy="fsdp", devices_per_node=8)
    cards = [device(name) for name in CARDS]
    profiles = [device(name) for name in names()]
    huge = changed(several, {"model.num_layers": 400})
    every = Limits(optimizers=("lion", "adafactor", "adamw_8bit", "sgd"))

    def estimate(config: Config) -> object:
        return _figures(config, card)

    def all_of_them(config: Config) -> object:
        return estimate(config), what_if(config, card, cards=cards)

    def one_by_one() -> object:
        found = product(variants(several, card, every), divisors(90))
        return [_estimated(variant.config, micro) for variant, micro in islice(found, ONE_BY_ONE)]

    def _estimated(config: Config, micro: int) -> object:
        edits = {"training.batch_size": micro, "training.gradient_accumulation_steps": 90 // micro}
        return estimate(Config.model_validate(changed(config, edits).model_dump()))

    for name, config in (("one device", single), ("FSDP on 8", several)):
        print(f"what-ifs, {name}: {len(what_if(config, card, cards=cards)) - 1}")
    for name, config in (("fits", several), ("nothing fits", huge)):
        result = fit(config, card, limits=every)
        print(f"search, {name}: {result.considered:,} plans, {result.computed:,} of them computed")
        assert result.considered >= CANDIDATES
    found: dict[str, Callable[[], object]] = {
        "one estimate": lambda: estimate(single),
        "one estimate, FSDP": lambda: estimate(several),
        "estimate and 30 what-ifs": lambda: all_of_them(single),
        "estimate and 30 what-ifs, FSDP": lambda: all_of_them(several),
        "fit": lambda: fit(several, card, limits=every),
        "fit, nothing fits": lambda: fit(huge, card, limits=every),
        "fit, nothing fits, with remedies": lambda: fit(
            huge, card, limits=every, profiles=profiles
        ),
        f"one by one: {ONE_BY_ONE} plans": one_by_one,
    }
    return found | peers()


def _figures(config: Config, card: HardwareProfile) -> object:
    found = Estimate.of(config, card)
    return found.memory.allocated, found.speed, found.bill


def every_kind(rounds: int) -> None:
    """The table of families and engines: the fastest of the rounds."""
    print(f"CPU milliseconds, the fastest of {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    titles = ("seen", "other sizes", "what-ifs", "number", "fit", "plans")
    print(f"{'':<22}" + "".join(f"{title:>12}" for title in titles))
    for family, engine in product(FAMILIES, ENGINES):
        print(f"{family:<9}{engine:<13}{_kind(plan_of(family, engine), rounds)}", flush=True)


def _kind(plan: Config, rounds: int) -> str:
    card, cards = device("h100_80gb"), [device(name) for name in CARDS]
    limits = Limits(optimizers=("lion", "adafactor", "adamw_8bit", "sgd"))
    others = iter(others_of(plan, _AT_ONCE * (rounds + 1)))

    def around() -> object:
        return _figures(plan, card), what_if(plan, card, cards=cards)

    number = len(what_if(plan, card, cards=cards)) - 1
    plans = fit(plan, card, limits=limits).considered
    seen = _fastest(rounds, lambda: [_figures(plan, card) for _ in range(_AT_ONCE)]) / _AT_ONCE
    other = _fastest(rounds, lambda: [_figures(e, card) for e in islice(others, _AT_ONCE)])
    asked = _fastest(rounds, around)
    search = _fastest(min(3, rounds), lambda: fit(plan, card, limits=limits))
    goals = GOALS["one estimate"], GOALS["estimate and 30 what-ifs"], GOALS["fit"]
    late = any(took > goal for took, goal in zip((seen, asked, search), goals, strict=True))
    row = f"{seen:>12.3f}{other / _AT_ONCE:>12.3f}{asked:>12.2f}{number:>12}{search:>12.0f}"
    return f"{row}{plans:>12,}{'  missed' if late else ''}"


def _fastest(rounds: int, call: Callable[[], object]) -> float:
    """Milliseconds of the fastest of some rounds, after one that does not count."""
    call()
    took = []
    for _ in range(rounds):
        start = time.process_time_ns()
        call()
        took.append((time.process_time_ns() - start) / 1e6)
    return min(took)


def peers() -> dict[str, Callable[[], object]]:
    """Others' ways to a figure, where they are installed."""
    found: dict[str, Callable[[], object]] = {}
    if find_spec("deepspeed"):
        from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs

        found["DeepSpeed: model states"] = lambda: estimate_zero3_model_states_mem_needs(
            total_params=8_030_261_248, largest_layer_params=525_336_576, num_gpus_per_node=8
        )
    if find_spec("transformers"):
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        llama_8b = LlamaConfig(
            hidden_size=4096,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
            intermediate_size=14336,
            vocab_size=128256,
        )

        def meta() -> int:
            with torch.device("meta"):
                return sum(each.numel() for each in LlamaForCausalLM(llama_8b).parameters())

        found["transformers: meta model"] = meta
    return found


def main() -> None:
    """Measure, print, and say which goal is missed by the fastest of the rounds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--every-kind", action="store_true")
    options = parser.parse_args()
    if options.every_kind:
        every_kind(options.rounds)
        return
    todo = tasks()
    took: dict[str, list[float]] = {name: [] for name in todo}
    for call in todo.values():
        call()  # warm
    for _ in range(options.rounds):
        for name, call in todo.items():
            times = 20 if name.startswith("one estimate") else 1
            start = time.process_time_ns()
            for _ in range(times):
                call()
            took[name].append((time.process_time_ns() - start) / 1e6 / times)
    base = statistics.median(took["one estimate"])
    results = {
        name: {
            "min_ms": min(times),
            "median_ms": statistics.median(times),
            "estimates": statistics.median(times) / base,
            "goal_ms": GOALS.get(name),
        }
        for name, times in took.items()
    }
    if options.json:
        print(json.dumps(results))
        return
    print(
        f"CPU milliseconds, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}; Python "
        f"{platform.python_version()}, torch {version('torch')}"
    )
    print(f"{'':<34}{'min':>9}{'median':>9}{'estimates':>11}{'goal':>7}")
    for name, row in results.items():
        goal = row["goal_ms"] or ""
        print(
            f"{name:<34}{row['min_ms']:>9.3f}{row['median_ms']:>9.3f}{row['estimates']:>11.1f}"
            f"{goal:>7}"
        )
    for name, row in results.items():
        if row["goal_ms"] and (row["min_ms"] or 0) > row["goal_ms"]:
            print(f"missed: {name}")


if __name__ == "__main__":
    main()
