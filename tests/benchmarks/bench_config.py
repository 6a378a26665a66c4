"""What it costs to compose and check a plan, beside OmegaConf's merge of the same files.

Run it by hand: python tests/benchmarks/bench_config.py [repeats]. Nothing is asserted. OmegaConf
merges and converts, but does not check and remembers no origins; it is there as a yardstick.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

GOALS = {"compose and check": 10.0, "one edited key": 3.0}


def main(repeats: int) -> None:
    """Time the largest recipe stack."""
    from workbench.config.checking import validate
    from workbench.config.findings import Finding
    from workbench.config.layers import Layer, compose
    from workbench.config.rules import Subject, check
    from workbench.hardware.devices import resolve
    from workbench.plan import plan_from, recipes

    def values(layers: list[Layer]) -> int:
        """Values written in all files, the covered ones too."""
        return sum(1 + len(origin.shadowed) for origin in compose(layers).origins.values())

    def findings(layers: list[Layer]) -> list[Finding]:
        composed = compose(layers)
        config, found = validate(composed)
        if config is None:
            return found
        hardware, unknown = resolve(config, composed.origins)
        return unknown + check(Subject(config, composed.origins, hardware))

    stacks = {item.name: list(plan_from(item.name).composed.layers) for item in recipes()}
    name, layers = max(stacks.items(), key=lambda pair: values(pair[1]))
    files = [layer.file for layer in layers if layer.file]
    edit = Layer("edit", {"training": {"batch_size": 3}})
    print(f"recipe {name}: {len(files)} files, {values(layers)} values")

    tasks: dict[str, Callable[[], object]] = {
        "read, compose and check": lambda: plan_from(name).findings,
        "compose and check": lambda: findings(layers),
        "one edited key": lambda: findings([*layers, edit]),
        "  of which compose": lambda: compose(layers),
    }
    if find_spec("omegaconf"):
        omega = import_module("omegaconf").OmegaConf
        loaded = [omega.load(file) for file in files]
        tasks["OmegaConf: load and merge"] = lambda: omega.merge(*map(omega.load, files))
        tasks["OmegaConf: merge"] = lambda: omega.merge(*loaded)
    else:
        print("OmegaConf is not installed: pip install omegaconf, for the comparison")

    took: dict[str, list[float]] = {task: [] for task in tasks}
    for call in tasks.values():
        call()  # warm
    for _ in range(repeats):  # interleaved, so that a busy moment hits all alike
        for task, call in tasks.items():
            start = time.process_time_ns()
            call()
            took[task].append((time.process_time_ns() - start) / 1e6)
    base = statistics.median(took["compose and check"])
    print(f"CPU ms, median of {repeats}")
    for task, times in took.items():
        middle = statistics.median(times)
        goal = f"   goal ≤ {GOALS[task]:g}" if task in GOALS else ""
        print(f"{task:<28}{middle:8.2f}   × {middle / base:.2f}{goal}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
