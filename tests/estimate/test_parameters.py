"""Parameters in closed form against the modules themselves: the same number, exactly."""

from __future__ import annotations

import random

import torch

from tests.estimate.configs import decoder
from workbench.config.schema import Config
from workbench.config.size import size_of
from workbench.estimate.network.network import sized
from workbench.estimate.network.structure import structure_of
from workbench.estimate.network.symbols import symbols_of
from workbench.estimate.setting import Setting
from workbench.models.build import build_model


def test_two_hundred_decoders() -> None:
    for seed in range(200):
        config = Config.model_validate({"model": decoder(random.Random(seed))})
        with torch.device("meta"):
            truth = build_model(config.model).num_parameters()
        assert size_of(config.model).total == truth, seed
        setting = Setting.of(config, None)
        structure = structure_of(config, cpu=True, width=4, recompute=setting.recompute)
        net = sized(structure, config.model, symbols_of(config, alignment=1), accumulating=False)
        blocks = sum(net.blocks[kind].numbers * count for kind, count in net.runs)
        assert net.front.numbers + blocks + net.tail.numbers == truth, seed
