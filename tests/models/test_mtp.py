"""Multi-token prediction: its loss by hand, its module against transformers', its keys."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from transformers.modeling_layers import MtpLayer
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm

from workbench.config.schema import ModelConfig, TrainingConfig
from workbench.config.schema.training.mtp import MtpConfig
from workbench.models.base import IGNORE, Batch
from workbench.models.build import build_model
from workbench.models.decoder import Decoder
from workbench.models.init import init_weights
from workbench.training.objective import Losses, Objective

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 40,
}


def make(seed: int = 3, model: dict[str, Any] | None = None, **mtp: Any) -> Decoder:
    heads = MtpConfig(enabled=True, **mtp)
    made = build_model(ModelConfig.model_validate(SHAPE | (model or {})), mtp=heads)
    assert isinstance(made, Decoder)
    init_weights(made, 8)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.1, generator=generator))
    return made


def batch() -> Batch:
    generator = torch.Generator().manual_seed(9)
    text = torch.randint(40, (2, 13), generator=generator)
    return Batch(text[:, :-1], text[:, 1:])


def losses(model: Decoder, given: Batch | None = None, **mtp: Any) -> Losses:
    config = TrainingConfig.model_validate({"mtp": {"enabled": True, **mtp}})
    return Objective(model, config)(given or batch())


@pytest.mark.honours("training.mtp.num_future_tokens", "training.mtp.loss_weights")
@pytest.mark.parametrize("head_type", ["block", "linear", "mlp"])
def test_the_loss_by_hand(head_type: str) -> None:
    """arXiv 2412.19437, equations 24 and 25: the sum over the positions that have such a target."""
    weights = [0.3, 0.2, 0.1]
    options = {"num_future_tokens": 3, "head_type": head_type, "loss_weights": weights}
    model = make(**options)
    given = batch()
    found = losses(model, **options)
    output = model(given)
    assert len(output.ahead_BTD) == 3
    text = torch.cat((given.tokens_BT, given.targets_BT[:, -1:]), dim=1)
    total = 0.0
    for place, hidden_BTD in enumerate(output.ahead_BTD):
        one = 0.0
        logits_BTV = model.logits(hidden_BTD)
        for row in range(2):
            for t in range(12):
                if t + 2 + place < text.shape[1]:  # the token after the next, and so on
                    p_V = logits_BTV[row, t].log_softmax(-1)
                    one -= p_V[text[row, t + 2 + place]].item()
        assert found.parts[f"loss_ahead_{place + 1}"].item() == pytest.approx(one, rel=1e-5)
        total += weights[place] * one
    assert found.auxiliary.item() == pytest.approx(total, rel=1e-5)
    main = F.cross_entropy(
        model.logits(output.hidden_BTD).flatten(0, 1), given.targets_BT.flatten(), reduction="sum"
    )
    torch.testing.assert_close(found.loss_sum, main)


def test_one_module_is_that_of_transformers() -> None:
    model = make()
    assert model.mtp is not None
    config = transformers.LlamaConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        vocab_size=40,
        rms_norm_eps=1e-5,
    )
    config._attn_implementation = "eager"
    layer = MtpLayer(config, LlamaDecoderLayer, LlamaRMSNorm, 0)
    names = {
        "enorm": "embedding_norm",
        "hnorm": "hidden_norm",
        "eh_proj": "join_proj",
        "post_norm": "norm",
        "mtp_block.input_layernorm": "block.attention_norm",
        "mtp_block.post_attention_layernorm": "block.feed_forward_norm",
        "mtp_block.self_attn": "block.attention",
        "mtp_block.mlp": "block.feed_forward",
    }
    mine = dict(model.mtp[0].named_parameters())
    state = {}
    for name in layer.state_dict():
        theirs = max((each for each in names if name.startswith(each)), key=len)
        state[name] = mine[name.replace(theirs, names[theirs])]
    layer.load_state_dict(state)

    output = model(batch())
    embedded_BTD = F.embedding(batch().tokens_BT, model.embedding)
    ahead_BTD = torch.cat((embedded_BTD[:, 1:], torch.zeros(2, 1, 32)), dim=1)
    rotary = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(config)
    mask = torch.full((12, 12), float("-inf")).triu(1)[None, None]
    wanted_BTD = layer(
        ahead_BTD,
        output.hidden_BTD,
        position_embeddings=rotary(ahead_BTD, torch.arange(12)[None]),
        attention_mask=mask,
        position_ids=None,
        past_key_values=None,
    )
    torch.testing.assert_close(output.ahead_BTD[0], wanted_BTD, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head_type", ["block", "linear", "mlp"])
@pytest.mark.honours("training.mtp.head_type")
def test_a_head_knows_no_token_that_it_predicts(head_type: str) -> None:
    """The prediction at t for t + 2 may read t + 1 (a block does) and nothing after it."""
    model = make(head_type=head_type).eval()
    model.train()
    changed = batch()
    tokens_BT = changed.tokens_BT.clone()
    tokens_BT[:, 6] = (tokens_BT[:, 6] + 1) % 40
    one = model(batch()).ahead_BTD[0]
    other = model(Batch(tokens_BT, changed.targets_BT)).ahead_BTD[0]
    known = 5 if head_type == "block" else 6
    assert torch.equal(one[:, :known], other[:, :known])
    assert not torch.equal(one[:, known], other[:, known])


@pytest.mark.honours("training.mtp.loss_weight", "training.mtp.primary_loss_weight")
def test_weights_of_the_two_losses() -> None:
    model = make()
    one, double = losses(model, loss_weight=0.1), losses(model, loss_weight=0.2)
    torch.testing.assert_close(double.auxiliary, 2 * one.auxiliary)
    lighter = losses(model, loss_weight=0.1, primary_loss_weight=0.25)
    torch.testing.assert_close(lighter.auxiliary, one.auxiliary - 0.75 * one.loss_sum)
    assert lighter.loss_sum.item() == one.loss_sum.item(), "what is reported stays the plain loss"


def test_documents_and_ignored_targets_do_not_count() -> None:
    given = batch()
    documents_BT = torch.tensor([[0] * 5 + [1] * 7] * 2)
    targets_BT = given.targets_BT.clone()
    targets_BT[:, 4] = IGNORE  # the last of a document predicts nothing
    targets_BT[:, 9] = IGNORE
    found = losses(make(), Batch(given.tokens_BT, targets_BT, documents_BT))
    hidden_BTD = make()(Batch(given.tokens_BT, targets_BT, documents_BT)).ahead_BTD[0]
    logits_BTV = make().logits(hidden_BTD)
    counted = [t for t in range(11) if t not in (3, 4, 8)]
    wanted = sum(
        F.cross_entropy(logits_BTV[:, t], targets_BT[:, t + 1], reduction="sum") for t in counted
    )
    torch.testing.assert_close(found.parts["loss_ahead_1"], torch.as_tensor(wanted).detach())


@pytest.mark.honours("training.mtp.enabled")
def test_heads_are_for_training_only() -> None:
    model = make(num_future_tokens=2)
    plain = build_model(ModelConfig(**SHAPE))
    extra = model.num_parameters() - plain.num_parameters()
    block = sum(each.numel() for each in model.blocks[0].parameters())
    assert extra == 2 * (block + 2 * 32 * 32 + 3 * 32)
    assert len(model.block_list()) == 4
    model.eval()
    assert model(batch()).ahead_BTD == ()
    assert make().hidden(batch().tokens_BT[:, :3]).hidden_BTD.shape == (2, 3, 32)


@pytest.mark.honours("training.mtp.head_intermediate_size", "training.mtp.head_dropout")
def test_shape_and_dropout_of_the_heads() -> None:
    narrow = make(head_type="mlp", head_intermediate_size=5)
    assert narrow.get_parameter("mtp.0.up_proj.weight").shape == (5, 32)
    assert make(head_type="mlp").get_parameter("mtp.0.up_proj.weight").shape == (32, 32)
    for head_type in ("block", "linear", "mlp"):
        dropping = make(head_type=head_type, head_dropout=0.5)
        torch.manual_seed(0)
        one, other = (dropping(batch()) for _ in range(2))
        assert torch.equal(one.hidden_BTD, other.hidden_BTD), "the model itself drops nothing"
        assert not torch.equal(one.ahead_BTD[0], other.ahead_BTD[0])


def test_experts_and_recomputing() -> None:
    """The module's block has experts like the others, and is recomputed like them."""
    experts = {"num_experts": 4, "num_experts_per_token": 2, "moe": {"num_dense_layers": 1}}
    gradients = []
    for recompute in ("none", "block", "selective"):
        model = make(model=experts)
        model.recompute = recompute  # type: ignore[assignment]
        found = losses(model)
        assert len(found.routings) == 2, "one block of the model, one of the module"
        (found.loss_sum + found.auxiliary).backward()
        gradients.append([each.grad for each in model.parameters()])
    for one, *others in zip(*gradients, strict=True):
        assert one is not None
        assert all(torch.equal(one, other) for other in others)


def test_a_weight_per_distance() -> None:
    with pytest.raises(ValueError, match="loss_weights has 1 weights"):
        make(num_future_tokens=2, loss_weights=[0.1])
