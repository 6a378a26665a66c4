"""Rules on configs that nobody would write: never an exception, and always a line to point at."""

from __future__ import annotations

import random
from typing import Any

import pytest

from workbench.config.checking import validate
from workbench.config.keys import Key, keys
from workbench.config.layers import Layer, compose
from workbench.config.origins import Mark
from workbench.config.rules import Subject, check
from workbench.hardware.devices import device, names


def value(key: Key, rng: random.Random) -> Any:
    """Anything that the key takes, extremes included."""
    if key.optional and rng.random() < 0.15:
        return None
    low = key.bounds.get("ge", key.bounds.get("gt", 0))
    high = key.bounds.get("le", key.bounds.get("lt"))
    if key.type == "integer":
        return rng.randint(int(low), int(high or max(low, rng.choice([2, 64, 1024, 10**18]))))
    if key.type == "number":
        top = high or rng.choice([1e-5, 0.1, 100.0])
        return rng.uniform(low + 1e-9, max(low + 1e-8, top - 1e-9))
    some = range(rng.randint(0, 4))
    item = {"integer": 3, "number": rng.uniform(-1, 1), "text": "q_prj"}[key.items or "text"]
    return {
        "boolean": rng.random() < 0.6,
        "choice": rng.choice(key.choices or ("",)),
        "text": rng.choice(["", "a", "1b", "gpt2", "/x/y"]),
        "list": [item for _ in some],
        "mapping": {str(n): item for n in some},
    }[key.type]


@pytest.mark.parametrize("seed", range(20))
def test_every_finding_points_at_a_line(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(15):
        layer = Layer("random", {}, "random.yaml")
        chosen = rng.sample(list(keys().values()), rng.randint(1, 80))
        for line, key in enumerate(chosen, 1):
            *sections, name = key.path.split(".")
            tree = layer.tree
            for section in sections:
                tree = tree.setdefault(section, {})
            tree[name] = rng.choice(names()) if key.path == "run.hardware" else value(key, rng)
            layer.marks[*sections, name] = Mark(line, 1)
        composed = compose([layer])
        config, findings = validate(composed)
        assert config is not None, findings[0].message
        hardware = device(config.run.hardware) if config.run.hardware else None
        for finding in check(Subject(config, composed.origins, hardware)):
            assert finding.origin is not None, finding.render()
            assert finding.origin.mark is not None
            assert len(finding.render()) < 5000
