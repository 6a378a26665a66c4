"""What must hold for a decoder of any family: documents, caches, recomputation, init, precision."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from workbench.config.schema import ModelConfig
from workbench.errors import ConfigError
from workbench.models.base import Batch, Recompute
from workbench.models.build import build_model
from workbench.models.decoder import Decoder
from workbench.models.init import init_weights
from workbench.models.sight import alibi_slopes, positions_in_documents, see

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
GPT = {"norm_type": "layernorm", "mlp_bias": True, "attention_bias": True, "hidden_act": "gelu_new"}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2, "tie_word_embeddings": False},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 6},
    "mixtral": {"num_experts": 4, "num_experts_per_token": 2},
    "qwen2": {"attention_bias": True, "attention_out_bias": False},
    "qwen3": {"qk_norm": True, "head_dim": 16, "num_key_value_heads": 1},
    "gpt2": GPT | {"position_embedding_type": "learned"},
    "gptj": {
        "norm_type": "layernorm",
        "residual_type": "parallel_shared_norm",
        "rope_interleaved": True,
        "partial_rotary_factor": 0.5,
        "lm_head_bias": True,
        "mlp_bias": True,
        "hidden_act": "gelu_new",
    },
    "gpt-neox": GPT | {"residual_type": "parallel", "partial_rotary_factor": 0.25},
    "alibi": {"position_embedding_type": "alibi", "hidden_act": "relu_squared"},
    "no positions": {"position_embedding_type": "none", "hidden_act": "geglu"},
}
every_family = pytest.mark.parametrize("name", FAMILIES)
KINDS: tuple[Recompute, ...] = ("none", "block", "selective")


def make(
    seed: int = 8, *, recompute: Recompute = "none", dtype: Any = None, **keys: Any
) -> Decoder:
    model = build_model(
        ModelConfig(**(SHAPE | keys)), recompute=recompute, compute_dtype=dtype or torch.float32
    )
    init_weights(model, seed)
    # As if trained: what starts as 0 or 1 would hide what it does.
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty_like(parameter).normal_(0.0, 0.1, generator=generator)
            parameter.add_(noise)
    assert isinstance(model, Decoder)
    return model


def tokens(batch: int = 2, length: int = 20, seed: int = 9) -> torch.Tensor:
    return torch.randint(64, (batch, length), generator=torch.Generator().manual_seed(seed))


def logits(model: Decoder, tokens_BT: torch.Tensor, documents: Any = None) -> torch.Tensor:
    return model.logits(model(Batch(tokens_BT, tokens_BT, documents)).hidden_BTD)


@every_family
def test_a_document_is_as_if_alone(name: str) -> None:
    model = make(**FAMILIES[name])
    tokens_BT = tokens(length=24)
    documents_BT = torch.tensor([[0] * 9 + [1] * 11 + [-1] * 4, [5] * 3 + [2] * 21])
    packed_BTV = logits(model, tokens_BT, documents_BT)
    for row, first, last in ((0, 0, 9), (0, 9, 20), (1, 0, 3), (1, 3, 24)):
        alone_BTV = logits(model, tokens_BT[row : row + 1, first:last])
        torch.testing.assert_close(packed_BTV[row, first:last], alone_BTV[0], rtol=1e-4, atol=1e-5)
    assert packed_BTV.isfinite().all(), "padding sees padding"
    packed_BTV.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@every_family
def test_the_cache_gives_the_same_as_all_at_once(name: str) -> None:
    model = make(**FAMILIES[name]).eval()
    tokens_BT = tokens(length=15)
    whole_BTV = logits(model, tokens_BT)
    caches = model.new_caches()
    parts = [model.hidden(tokens_BT[:, :7], caches, start=0).hidden_BTD]
    parts.append(model.hidden(tokens_BT[:, 7:10], caches, start=7).hidden_BTD)
    parts += [
        model.hidden(tokens_BT[:, t : t + 1], caches, start=t).hidden_BTD for t in range(10, 15)
    ]
    torch.testing.assert_close(
        model.logits(torch.cat(parts, dim=1)), whole_BTV, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("length", [20, 150])  # 150: the blocked attention of the CPU
@every_family
def test_recomputing_changes_no_gradient(name: str, length: int) -> None:
    gradients = []
    for recompute in KINDS:
        keys = {"hidden_dropout": 0.1, "max_position_embeddings": 256, **FAMILIES[name]}
        model = make(**keys, recompute=recompute)
        torch.manual_seed(10)
        logits(model, tokens(length=length)).square().mean().backward()
        gradients.append([each.grad for each in model.parameters()])
    for one, *others in zip(*gradients, strict=True):
        assert one is not None
        assert all(torch.equal(one, other) for other in others)


def test_what_recomputation_keeps() -> None:
    def kept(recompute: Recompute) -> int:
        model = make(max_position_embeddings=256, recompute=recompute)
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = model(Batch(tokens(length=150), tokens(length=150)))
        parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
        del output
        return sum(size for place, size in sizes.items() if place not in parameters)

    everything, block = kept("none"), kept("block")
    assert block < everything / 4
    # What `selective` keeps is in a cache of its own, which these hooks do not see; its effect on
    # memory is measured where memory can be: on a device that counts allocations.
    assert kept("selective") < everything


@every_family
def test_init_is_a_function_of_seed_and_name(name: str) -> None:
    with torch.device("meta"):
        late = build_model(ModelConfig(**(SHAPE | FAMILIES[name])))
    late.to_empty(device="cpu")
    early = build_model(ModelConfig(**(SHAPE | FAMILIES[name])))
    for model in (late, early):
        init_weights(model, 3)
    for (key, one), other in zip(late.named_parameters(), early.parameters(), strict=True):
        assert torch.equal(one, other), key
        if key.endswith("norm.weight"):
            assert (one == 1).all(), key
        elif key.endswith("bias"):
            assert not one.any(), key
        else:
            back = "o_proj" in key or "down_proj" in key
            std = 0.2 / math.sqrt(2 * 2) if back else 0.2
            assert one.std().item() == pytest.approx(std, rel=0.2), key


@every_family
def test_bf16_is_close_and_weights_stay_fp32(name: str) -> None:
    keys = FAMILIES[name] | {"initializer_range": 0.05}
    exact, rounded = make(**keys), make(**keys, dtype=torch.bfloat16)
    for model in (exact, rounded):
        logits(model, tokens(length=40)).logsumexp(-1).mean().backward()
    assert logits(rounded, tokens()).dtype == torch.float32
    for (key, one), other in zip(exact.named_parameters(), rounded.parameters(), strict=True):
        assert other.dtype == torch.float32
        assert one.grad is not None
        assert other.grad is not None
        if "router" in key or one.grad.norm() < 1e-5:
            continue  # a rounded input may choose another expert; a gradient of noise is noise
        similar = torch.cosine_similarity(one.grad.flatten(), other.grad.flatten(), dim=0)
        assert similar > (0.9 if name == "mixtral" else 0.99), key


@pytest.mark.honours("model.attention_implementation")
@pytest.mark.parametrize("keys", [{}, {"sliding_window": 30}, {"num_key_value_heads": 1}], ids=str)
def test_every_implementation_computes_the_same(
    keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.models import attend

    ran: list[str] = []
    for name in ("_eager", "_sdpa", "causal_attention", "sdpa_kernel"):
        original = getattr(attend, name)

        def spy(*args: Any, name: str = name, original: Any = original, **kwargs: Any) -> Any:
            ran.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(attend, name, spy)
    found, tokens_BT = {}, tokens(length=140)
    documents_BT = (torch.arange(140) // 50).expand(2, -1)
    for kind in ("auto", "eager", "sdpa", "flash"):
        ran.clear()
        model = make(**keys, max_position_embeddings=256, attention_implementation=kind)
        found[kind] = torch.cat((logits(model, tokens_BT), logits(model, tokens_BT, documents_BT)))
        wanted = {"auto": "causal_attention", "eager": "_eager", "sdpa": "_sdpa"}
        assert set(ran) == ({wanted[kind]} if kind != "flash" else {"sdpa_kernel", "_sdpa"})
    for kind in ("eager", "sdpa", "flash"):
        torch.testing.assert_close(found[kind], found["auto"], rtol=1e-4, atol=1e-5)


def test_dropout_of_attention_takes_a_path_that_has_it() -> None:
    for kind in ("auto", "eager", "sdpa"):
        model = make(attention_dropout=0.5, attention_implementation=kind)
        one, other = (logits(model, tokens(length=140)) for _ in range(2))
        assert not torch.equal(one, other)
        model.eval()
        assert torch.equal(logits(model, tokens(length=30)), logits(model, tokens(length=30)))


def test_flash_that_the_device_does_not_have_is_one_message() -> None:
    model = make(attention_dropout=0.5, attention_implementation="flash")
    with pytest.raises(ConfigError, match="no flash attention") as caught:
        logits(model, tokens())
    assert "attention dropout" in caught.value.render()


DIFFERENT: dict[str, Any] = {
    "attention_bias": True,
    "attention_out_bias": True,
    "qk_norm": True,
    "residual_type": "parallel",
    "rope_interleaved": True,
    "partial_rotary_factor": 0.5,
    "sliding_window": 4,
    "rope_theta": 50.0,
    "position_embedding_type": "learned",
    "hidden_act": "relu",
    "norm_type": "layernorm",
    "layer_norm_eps": 0.1,
    "mlp_bias": True,
    "lm_head_bias": True,
    "tie_word_embeddings": False,
    "head_dim": 16,
    "num_key_value_heads": 2,
    "embedding_dropout": 0.3,
    "hidden_dropout": 0.3,
    "attention_dropout": 0.3,
    "initializer_range": 0.1,
    "intermediate_size": 64,
    "num_layers": 3,
    "num_attention_heads": 2,
}


@pytest.mark.honours(
    "model.attention_bias",
    "model.attention_out_bias",
    "model.qk_norm",
    "model.residual_type",
    "model.rope_interleaved",
    "model.partial_rotary_factor",
    "model.sliding_window",
    "model.rope_theta",
    "model.position_embedding_type",
    "model.hidden_act",
    "model.norm_type",
    "model.layer_norm_eps",
    "model.mlp_bias",
    "model.lm_head_bias",
    "model.tie_word_embeddings",
    "model.head_dim",
    "model.num_key_value_heads",
    "model.embedding_dropout",
    "model.hidden_dropout",
    "model.attention_dropout",
    "model.initializer_range",
    "model.intermediate_size",
    "model.num_layers",
    "model.num_attention_heads",
)
@pytest.mark.parametrize("key", DIFFERENT)
def test_each_key_changes_what_is_computed(key: str) -> None:
    torch.manual_seed(0)
    plain = logits(make(), tokens())
    torch.manual_seed(0)
    changed = logits(make(**{key: DIFFERENT[key]}), tokens())
    assert (plain - changed).abs().max() > 1e-4


@pytest.mark.honours("model.hidden_size", "model.vocab_size")
def test_width_and_vocabulary_are_as_asked() -> None:
    model = make(hidden_size=40, vocab_size=70)
    assert model(Batch(tokens(), tokens())).hidden_BTD.shape == (2, 20, 40)
    assert logits(model, tokens()).shape == (2, 20, 70)


@pytest.mark.honours("model.max_position_embeddings")
def test_the_longest_sequence_is_a_table_or_a_scale() -> None:
    learned = {"position_embedding_type": "learned"}
    rows = make(**learned, max_position_embeddings=48).position_embedding
    assert rows is not None
    assert len(rows) == 48
    scaling = {"type": "dynamic", "factor": 2.0}
    one, other = (
        logits(make(rope_scaling=scaling, max_position_embeddings=length), tokens())
        for length in (10, 12)
    )
    assert not torch.equal(one, other)


SCALINGS: dict[str, tuple[dict[str, Any], Any]] = {
    "type": ({"type": "linear", "factor": 2.0}, "none"),
    "factor": ({"type": "linear", "factor": 2.0}, 3.0),
    "low_freq_factor": ({"type": "llama3", "factor": 4.0}, 2.0),
    "high_freq_factor": ({"type": "llama3", "factor": 4.0}, 9.0),
    "original_max_position_embeddings": ({"type": "dynamic", "factor": 4.0}, 9),
    "beta_fast": ({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}, 4.0),
    "beta_slow": ({"type": "yarn", "factor": 4.0, "beta_fast": 8.0}, 0.25),
    "attention_factor": ({"type": "yarn", "factor": 4.0}, 2.0),
    "mscale": ({"type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 1.0}, 3.0),
    "mscale_all_dim": ({"type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 1.0}, 3.0),
}


@pytest.mark.honours(
    "model.rope_scaling.type",
    "model.rope_scaling.factor",
    "model.rope_scaling.low_freq_factor",
    "model.rope_scaling.high_freq_factor",
    "model.rope_scaling.original_max_position_embeddings",
    "model.rope_scaling.beta_fast",
    "model.rope_scaling.beta_slow",
    "model.rope_scaling.attention_factor",
    "model.rope_scaling.mscale",
    "model.rope_scaling.mscale_all_dim",
)
@pytest.mark.parametrize("key", SCALINGS)
def test_each_key_of_the_scaling_moves_the_angles(key: str) -> None:
    keys, other = SCALINGS[key]
    wide = {"head_dim": 64, "max_position_embeddings": 16, "rope_theta": 20.0}
    one = logits(make(**wide, rope_scaling=keys), tokens())
    two = logits(make(**wide, rope_scaling=keys | {key: other}), tokens())
    assert (one - two).abs().max() > 1e-4


def test_a_window_sees_itself_and_those_just_before() -> None:
    mask = see(6, window=3).mask
    assert mask is not None
    expected = [[key in range(query - 2, query + 1) for key in range(6)] for query in range(6)]
    assert mask[0, 0].tolist() == expected
    assert see(6, window=6).mask is None, "a window that holds all costs nothing"
    assert see(1, seen=5, window=3).mask is not None


def test_alibi_charges_for_distance_as_in_the_paper() -> None:
    assert alibi_slopes(8) == [2.0**-power for power in range(1, 9)]
    assert alibi_slopes(6) == [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]
    mask = see(4, alibi_heads=2).mask
    assert mask is not None
    slopes = alibi_slopes(2)
    for head in range(2):
        for query in range(4):
            for key in range(4):
                wanted = -slopes[head] * (query - key) if key <= query else -math.inf
                assert mask[0, head, query, key].item() == pytest.approx(wanted)


def test_places_in_documents() -> None:
    documents_BT = torch.tensor([[4, 4, 4, 7, 7, -1], [0, 1, 1, 1, 2, 2]])
    assert positions_in_documents(documents_BT).tolist() == [
        [0, 1, 2, 0, 1, 0],
        [0, 0, 1, 2, 0, 1],
    ]
