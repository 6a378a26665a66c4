"""Parameters in closed form against the modules themselves: the same number, exactly."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.estimate import families
from tests.estimate.configs import decoder
from workbench.config.linears import NEVER_ADAPTED, groups_of
from workbench.config.schema import Config
from workbench.config.size import size_of
from workbench.estimate.estimate import Estimate
from workbench.estimate.network.network import runs_of, sized
from workbench.estimate.network.structure import structure_of
from workbench.estimate.network.symbols import symbols_of
from workbench.estimate.setting import Setting
from workbench.models.build import build_model
from workbench.models.linear import Linear
from workbench.models.lora import add_adapters

if TYPE_CHECKING:
    from workbench.models.base import LanguageModel

FAMILIES = {
    "decoder": families.any_decoder,
    "mla": families.mla,
    "moe": families.moe,
    "bert": families.bert,
    "t5": families.t5,
}


def built(config: Config) -> LanguageModel:
    """The network without memory."""
    mtp = config.training.mtp
    with torch.device("meta"):
        return build_model(config.model, mtp=mtp if mtp.enabled else None)


def numbers(parameters: Any) -> int:
    return sum(each.numel() for each in parameters)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_hundred_networks(family: str) -> None:
    for seed in range(200):
        rng = random.Random(f"{family}-{seed}")
        config = Config.model_validate({"model": FAMILIES[family](rng)})
        model = built(config)
        size = size_of(config.model)
        assert size.total == size.trainable == model.num_parameters(), seed
        assert sum(count for _, count in size.parts) == size.total
        assert size.block == max(numbers(each.parameters()) for each in model.block_list()), seed
        assert dict(size.parts) == parts(model), seed
        routed = numbers(p for n, p in model.named_parameters() if ".experts." in n)
        chosen = config.model.num_experts_per_token / config.model.num_experts
        assert size.active == size.total - routed * (1 - chosen), seed


def parts(model: LanguageModel) -> dict[str, int]:
    """The parameters of a network by what they are for."""
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        where = next((part for word, part in _WORDS if word in name), "head")
        found[where] = found.get(where, 0) + parameter.numel()
    return found


_WORDS = (
    ("norm.", "norms"),
    ("position_embedding", "positions"),
    ("distances", "positions"),
    ("embedding", "embedding"),
    ("attention.", "attention"),
    (".router.", "router"),
    (".experts.", "experts"),
    (".shared.", "experts"),
    ("feed_forward.", "feed-forward"),
)


def test_two_hundred_decoders_that_look_ahead() -> None:
    for seed in range(200):
        rng = random.Random(f"ahead-{seed}")
        tree = {
            "model": rng.choice([families.any_decoder, families.mla, families.moe])(rng),
            "training": {"mtp": families.mtp(rng)},
        }
        config = Config.model_validate(tree)
        model = built(config)
        size = size_of(config.model, config.training.mtp)
        assert size.total == model.num_parameters(), seed
        heads = numbers(p for n, p in model.named_parameters() if n.startswith("mtp."))
        assert dict(size.parts)["multi-token prediction"] == heads, seed
        assert size.block == max(numbers(each.parameters()) for each in model.block_list()), seed


def test_two_hundred_adapted_networks() -> None:
    for seed in range(200):
        rng = random.Random(f"adapted-{seed}")
        family = rng.choice(list(FAMILIES.values()))
        model = family(rng)
        ahead = families.mtp(rng) if model.get("model_type", "decoder") == "decoder" else {}
        names = sorted(
            {
                name
                for group in groups_of(
                    Config.model_validate({"model": model}).model,
                    Config.model_validate({"training": {"mtp": ahead}}).training.mtp,
                )
                for place in group.places
                for name in (group.prefix.format(place) + each.name for each in group.linears)
            }
        )
        can = [each for each in names if each not in NEVER_ADAPTED]
        config = Config.model_validate(
            {"model": model, "training": {"mtp": ahead}, "lora": families.lora(rng, can)}
        )
        network = built(config)
        linears = [n for n, module in network.named_modules() if isinstance(module, Linear)]
        assert sorted(each for each in linears if each != "lm_head") == names, seed
        add_adapters(network, config.lora)
        size = size_of(config.model, config.training.mtp, config.lora)
        assert size.total == network.num_parameters(), seed
        trained = numbers(each for each in network.parameters() if each.requires_grad)
        assert size.trainable == trained, (seed, config.lora)


def test_an_estimate_counts_what_is_trained() -> None:
    for tree in (
        {"model": {"model_type": "t5"}},
        {"training": {"mtp": {"enabled": True}}},
        {"lora": {"enabled": True}},
    ):
        config = Config.model_validate(tree)
        network = built(config)
        if config.lora.enabled:
            add_adapters(network, config.lora)
        size = Estimate.of(config).size
        assert size is not None
        assert size.total == network.num_parameters()
        assert size.trainable == numbers(p for p in network.parameters() if p.requires_grad)


def test_the_ledger_counts_the_same() -> None:
    for seed in range(40):
        config = Config.model_validate({"model": decoder(random.Random(seed))})
        setting = Setting.of(config, None)
        structure = structure_of(config, cpu=True, width=4, recompute=setting.recompute)
        runs, symbols = runs_of(config.model, structure.lora), symbols_of(config, alignment=1)
        net = sized(structure, runs, symbols, accumulating=False)
        blocks = sum(net.blocks[kind].numbers * count for kind, count in net.runs)
        truth = size_of(config.model).total
        assert net.front.numbers + blocks + net.tail.numbers == truth, seed
