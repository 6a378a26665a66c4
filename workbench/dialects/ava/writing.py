"""A plan in Ava's words: one YAML file that readers of YAML 1.1 and 1.2 understand alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workbench.config.keys import keys
from workbench.dialects.ava.meanings import aliases, claims, says
from workbench.dialects.ava.reading import KIND, MEANT, SEARCH, SYSTEM, claims_of_search
from workbench.dialects.claims import Claims
from workbench.dialects.parsing import leaves
from workbench.dialects.telling import Teller
from workbench.dialects.yaml_text import yaml_text

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Writing

_ORDER = (
    "model", "training", "data", "deepspeed", "enhanced_features", "performance", "memory",
    "compilation", "evaluation", "output", "run_management", "device", "fp16", "bf16", "wandb",
    "stability", "generation", "lr_finder", "rlhf",
)  # fmt: skip


def write(config: Config, chosen: frozenset[str]) -> Writing:
    """Say a plan in Ava's words."""
    teller = Teller(SYSTEM, config, chosen)
    kind = teller.tree.pop(KIND, None)
    source = config.imported.source if config.imported.system == SYSTEM else None
    if kind == SEARCH:
        Claims(claims_of_search()).write(teller)
        text = json.dumps(teller.tree, indent=2) + "\n"
        return teller.writing({source or "lr_finder_results.json": text})
    stored = [".".join(path) for path, _ in leaves(teller.tree)]
    made = [path for path in stored if aliases(path)]
    made += [
        path
        for ours in keys()
        if ours in chosen and (path := says(ours)) is not None and path not in made
    ]
    for name, value in MEANT.items():
        path = f"model.{name}"
        if teller.our(path) == value and (name == "norm_type" or (source and path not in stored)):
            teller.said(path)  # it goes without saying there
            made = [each for each in made if each != path]
    Claims(claims(made)).write(teller)
    file = source or "ava.yaml"
    return teller.writing(
        {file: yaml_text(_ordered(teller.tree))},
        command=f"python code/scripts/5_training/train.py --config {file}",
        rest="Ava has no such key",
    )


def _ordered(tree: dict[str, Any]) -> dict[str, Any]:
    rank = {name: index for index, name in enumerate(_ORDER)}
    return {name: tree[name] for name in sorted(tree, key=lambda n: rank.get(n, len(rank)))}
