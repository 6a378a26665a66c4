"""One step is one step, however it is cut into micro-batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench.config.schema import Config, ModelConfig, TrainingConfig
from workbench.data.order import Shuffle
from workbench.data.source import BatchSource
from workbench.data.store import Tokens
from workbench.data.windows import Windows
from workbench.models.base import Batch
from workbench.models.decoder import Decoder
from workbench.models.init import init_weights
from workbench.training.distributed import World
from workbench.training.engines.single import SingleEngine
from workbench.training.objective import Objective
from workbench.training.step import Measured, compute_gradient

TOKENS = np.random.default_rng(5).integers(1, 60, 4000).astype(np.uint8)


def gradient(
    batch_size: int, accumulation: int, **options: object
) -> tuple[Measured, list[torch.Tensor], SingleEngine, BatchSource]:
    config = ModelConfig(
        hidden_size=16, num_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=64,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip
    model = Decoder(config)
    init_weights(model, 6)
    engine = SingleEngine(
        Objective(model, TrainingConfig()), Config(), torch.device("cpu"), World()
    )
    stream = Tokens(TOKENS, np.zeros(1, dtype=np.int64))
    windows = Windows(stream, length=24, how=Shuffle(7))
    order = BatchSource(windows, batch_size=batch_size, micro_batches=accumulation)
    measured = compute_gradient(engine, [order.batch(3, micro) for micro in range(accumulation)])
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return measured, gradients, engine, order


@pytest.mark.parametrize(("batch_size", "accumulation"), [(1, 8), (2, 4), (4, 2)])
def test_accumulation_does_not_change_the_step(batch_size: int, accumulation: int) -> None:
    whole, whole_gradients, *_ = gradient(8, 1)
    parts, part_gradients, *_ = gradient(batch_size, accumulation)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-6)
    assert parts.gradient_norm == pytest.approx(whole.gradient_norm, rel=1e-5)
    differences = []
    for one, other in zip(whole_gradients, part_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
        differences.append((one - other).flatten())
    difference = torch.cat(differences)
    # Rounding has no direction: a residual with a mean would be a bias of one of the two.
    assert difference.mean().abs() < 5 * difference.std() / difference.numel() ** 0.5 + 1e-10


def test_the_loss_is_cross_entropy_and_the_norm_is_a_norm() -> None:
    measured, gradients, engine, order = gradient(4, 2)
    losses = []
    for micro in range(2):
        inputs_BT, targets_BT = (torch.from_numpy(each) for each in order.batch(3, micro)[:2])
        logits_BTV = engine.model.logits(engine.model(Batch(inputs_BT, targets_BT)).hidden_BTD)
        losses.append(F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten()))
    assert measured.loss == pytest.approx(torch.stack(losses).mean().item(), rel=1e-6)
    norm = torch.cat([each.flatten() for each in gradients]).norm().item()
    assert measured.gradient_norm == pytest.approx(norm, rel=1e-5)


def test_expert_metrics() -> None:
    measured, *_ = gradient(4, 2, num_experts=4, num_experts_per_token=2)
    assert set(measured.experts) == {"aux_loss", "expert_load", "dropped"}
    assert measured.experts["aux_loss"] == pytest.approx(1.0, abs=0.2)
    assert 1.0 <= measured.experts["expert_load"] <= 4.0
    assert measured.experts["dropped"] == 0.0
    crowded, *_ = gradient(4, 2, num_experts=4, num_experts_per_token=2, expert_capacity_factor=0.5)
    assert 0.4 < crowded.experts["dropped"] < 0.6


def test_the_z_loss_is_reported_without_its_weight() -> None:
    one, *_ = gradient(4, 1, num_experts=4, router_z_loss_coef=1e-3)
    half, *_ = gradient(2, 2, num_experts=4, router_z_loss_coef=1e-3)
    # Fresh logits are near 0, and log(4 e^0) squared is 1.92.
    assert one.experts["z_loss"] == pytest.approx(1.92, abs=0.2)
    assert half.experts["z_loss"] == pytest.approx(one.experts["z_loss"], rel=1e-5)


def test_auxiliary_losses_reach_the_router_but_not_the_reported_loss() -> None:
    plain, _, engine, _ = gradient(4, 1, num_experts=4, router_aux_loss_coef=0.0)
    weighted, _, weighted_engine, _ = gradient(4, 1, num_experts=4, router_aux_loss_coef=1.0)
    assert plain.loss == weighted.loss
    routers = [e.model.blocks[0].feed_forward.router.weight for e in (engine, weighted_engine)]
    assert not torch.equal(*(each.grad for each in routers))
