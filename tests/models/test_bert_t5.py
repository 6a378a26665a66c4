"""BERT with each head and both kinds of T5 compute what transformers computes, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers

from workbench.errors import CheckpointError
from workbench.models.base import IGNORE, Batch, LanguageModel, Recompute
from workbench.models.build import build_model
from workbench.models.generate import answer
from workbench.models.huggingface import config_from_hf, load_pretrained, save_pretrained
from workbench.models.huggingface.configs import disagreements, model_config
from workbench.models.init import init_weights
from workbench.models.sampling import Sampling
from workbench.models.t5 import bucket

BERT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 64,
    "max_position_embeddings": 24,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
T5: dict[str, Any] = {
    "d_model": 32,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "d_kv": 6,
    "d_ff": 48,
    "vocab_size": 64,
    "dropout_rate": 0.0,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertForMaskedLM", BERT),
    "bert relu": ("BertForMaskedLM", BERT | {"hidden_act": "relu"}),
    "bert classes": ("BertForSequenceClassification", BERT | {"num_labels": 3}),
    "bert token classes": ("BertForTokenClassification", BERT | {"num_labels": 5}),
    "t5 1.0": ("T5ForConditionalGeneration", T5),
    "t5 1.1": (
        "T5ForConditionalGeneration",
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    ),
    "t5 silu gate": ("T5ForConditionalGeneration", T5 | {"feed_forward_proj": "gated-silu"}),
}
LENGTHS = (14, 9)


def theirs(case: str) -> Any:
    """A tiny transformers model with weights far from their usual start."""
    kind, options = CASES[case]
    config = getattr(transformers, "BertConfig" if "Bert" in kind else "T5Config")(**options)
    config._attn_implementation = "eager"
    model = getattr(transformers, kind)(config)
    if not options.get("tie_word_embeddings", True):
        # Transformers ties them all the same; the published 1.1 weights have two.
        model.lm_head.weight = torch.nn.Parameter(torch.empty(64, 32))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty_like(parameter).normal_(0.0, 0.15, generator=generator)
            parameter.copy_(noise + (1.0 if parameter.dim() == 1 else 0.0))
    return model.float().train()


def ours(hf: dict[str, Any]) -> LanguageModel:
    model = build_model(model_config(config_from_hf(hf)))
    init_weights(model, 1)
    return model.train()


def batch() -> Batch:
    """Two sequences of different lengths; documents say where the padding is."""
    generator = torch.Generator().manual_seed(4)
    tokens_BT, encoder_BS = (torch.randint(1, 64, (2, 14), generator=generator) for _ in range(2))
    here_BT = torch.arange(14) < torch.tensor(LENGTHS)[:, None]
    documents_BT = torch.where(here_BT, 0, -1)
    return Batch(tokens_BT, tokens_BT, documents_BT, encoder_BS, documents_BT.clone())


def their_logits(model: Any, given: Batch) -> torch.Tensor:
    assert given.documents_BT is not None
    mask = (given.documents_BT >= 0).long()
    if given.encoder_tokens_BS is not None and model.config.model_type == "t5":
        return model(  # type: ignore[no-any-return]
            input_ids=given.encoder_tokens_BS,
            attention_mask=mask,
            decoder_input_ids=given.tokens_BT,
            decoder_attention_mask=mask,
        ).logits
    return model(input_ids=given.tokens_BT, attention_mask=mask).logits  # type: ignore[no-any-return]


def present(model: LanguageModel, logits_BTV: torch.Tensor) -> torch.Tensor:
    """The logits that mean something: padding computes what it likes."""
    if model.config.head == "classification":
        return logits_BTV[:, 0] if logits_BTV.dim() == 3 else logits_BTV
    here_BT = torch.arange(14) < torch.tensor(LENGTHS)[:, None]
    return logits_BTV[here_BT]


def loss_of(logits_NV: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits_NV, torch.arange(len(logits_NV)) % logits_NV.shape[1])


@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients_are_theirs_both_ways(case: str, tmp_path: Path) -> None:
    their_model = theirs(case)
    their_model.save_pretrained(tmp_path / "theirs")
    hf = their_model.config.to_dict()
    our_model = ours(hf)
    load_pretrained(our_model, tmp_path / "theirs")

    found = present(our_model, our_model.logits(our_model(batch()).hidden_BTD))
    wanted = present(our_model, their_logits(their_model, batch()))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    loss_of(wanted).backward()
    loss_of(found).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for name, parameter in our_model.named_parameters():
            assert parameter.grad is not None, name
            parameter.copy_(parameter.grad)
    save_pretrained(our_model, tmp_path / "gradients")
    gradients = type(their_model).from_pretrained(tmp_path / "gradients", dtype=torch.float32)
    for (name, one), other in zip(
        gradients.named_parameters(), their_model.named_parameters(), strict=True
    ):
        assert name == other[0]
        if other[1].grad is None:  # the pooler's share of a token classifier, and the like
            continue
        torch.testing.assert_close(one, other[1].grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_what_we_write_is_what_they_wrote(case: str, tmp_path: Path) -> None:
    their_model = theirs(case)
    their_model.save_pretrained(tmp_path / "theirs")
    our_model = ours(their_model.config.to_dict())
    load_pretrained(our_model, tmp_path / "theirs")
    save_pretrained(our_model, tmp_path / "ours")
    again = type(their_model).from_pretrained(tmp_path / "ours", dtype=torch.float32)
    for (name, one), other in zip(
        again.named_parameters(), their_model.named_parameters(), strict=True
    ):
        assert torch.equal(one, other[1]), name
    back = model_config(config_from_hf(again.config.to_dict()))
    assert disagreements(our_model.config, back) == []
    assert (back.head, back.num_labels) == (our_model.config.head, our_model.config.num_labels)


def test_a_new_head_starts_fresh_on_pretrained_layers(tmp_path: Path) -> None:
    theirs("bert").save_pretrained(tmp_path)
    masked = ours(theirs("bert").config.to_dict())
    load_pretrained(masked, tmp_path)
    classifier = build_model(
        masked.config.model_copy(update={"head": "classification", "num_labels": 4})
    )
    init_weights(classifier, 1)
    first = {name: value.clone() for name, value in classifier.named_parameters()}
    load_pretrained(classifier, tmp_path)
    known = dict(masked.named_parameters())
    for name, value in classifier.named_parameters():
        if name.startswith(("head.", "output")):
            assert torch.equal(value, first[name]), name
        else:
            assert torch.equal(value, known[name]), name
    # The other way round something is missing that training cannot do without.
    theirs("bert classes").save_pretrained(tmp_path / "classes")
    with pytest.raises(CheckpointError, match="lack"):
        load_pretrained(masked, tmp_path / "classes")


@pytest.mark.honours("model.head", "model.num_labels")
def test_heads_predict_what_they_say() -> None:
    for head, labels in (("classification", 3), ("token_classification", 5)):
        keys = config_from_hf(theirs("bert").config.to_dict()) | {
            "head": head,
            "num_labels": labels,
        }
        model = build_model(model_config(keys))
        init_weights(model, 1)
        logits_BTV = model.logits(model(batch()).hidden_BTD)
        assert logits_BTV.shape == (2, 14, labels)
        if head == "classification":  # one class per sequence, at its first position
            targets_BT = torch.full((2, 14), IGNORE)
            targets_BT[:, 0] = torch.tensor([2, 0])
            loss = F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten())
            loss.backward()  # type: ignore[no-untyped-call]
            assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.honours("model.num_encoder_layers")
def test_encoder_has_its_own_depth() -> None:
    keys = config_from_hf(theirs("t5 1.0").config.to_dict())
    sizes = [
        build_model(model_config(keys | {"num_encoder_layers": layers})).num_parameters()
        for layers in (1, 2, 4, None)
    ]
    assert sizes[2] - sizes[1] == 2 * (sizes[1] - sizes[0]) > 0
    assert sizes[3] - sizes[1] == sizes[1] - sizes[0], "null means as deep as the decoder, 3"


@pytest.mark.honours("model.model_type")
@pytest.mark.parametrize("case", ["t5 1.0", "t5 1.1"])
def test_a_t5_writes_what_theirs_writes(case: str, tmp_path: Path) -> None:
    their_model = theirs(case).eval()
    their_model.save_pretrained(tmp_path)
    model = ours(their_model.config.to_dict())
    load_pretrained(model, tmp_path)
    read, stop = [9, 4, 33, 21, 5, 1], 1
    wanted = their_model.generate(
        torch.tensor([read]),
        max_new_tokens=12,
        do_sample=False,
        eos_token_id=stop,
        use_cache=False,  # theirs has as many layers as the encoder, and the decoder has more
    )[0].tolist()
    found = answer(
        model,  # type: ignore[arg-type]
        read,
        start=0,
        max_new_tokens=12,
        sampling=Sampling(do_sample=False),
        generator=torch.Generator(),
        stop_token=stop,
    )
    assert len(found) > 3
    assert [0, *found] == (wanted[:-1] if wanted[-1] == stop else wanted)
    assert model.training, "it is back in the mode it came in"


def test_who_sees_whom() -> None:
    """BERT sees both sides; T5's decoder the past and all of its own text's encoder."""
    for case, both_sides in (("bert", True), ("t5 1.0", False)):
        model = ours(theirs(case).config.to_dict())
        written_BT, read_BS = torch.arange(10)[None], torch.arange(20, 30)[None]
        embedding = model.get_parameter("embedding")
        hidden_BTD = model(Batch(written_BT, written_BT, None, read_BS)).hidden_BTD
        hidden_BTD[0, 3].square().sum().backward()
        assert embedding.grad is not None
        touched = embedding.grad.abs().sum(1) > 0
        assert touched[:4].all()
        assert touched[4:10].all() == touched[4:10].any() == both_sides
        assert touched[20:30].all() == touched[20:30].any() == (not both_sides)


@pytest.mark.parametrize("case", ["bert", "t5 1.1"])
@pytest.mark.parametrize("recompute", ["block", "selective"])
def test_recomputing_changes_no_bit(case: str, recompute: Recompute) -> None:
    gradients = []
    for kind in ("none", recompute):
        model = ours(theirs(case).config.to_dict() | {"dropout_rate": 0.1})
        model.recompute = kind  # type: ignore[assignment]
        torch.manual_seed(5)
        model(batch()).hidden_BTD.square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert (one is None and other is None) or torch.equal(one, other)


@pytest.mark.parametrize("case", ["bert", "t5 1.1"])
def test_packed_documents_do_not_see_each_other(case: str) -> None:
    """Two texts in one row give what each gives alone."""
    model = ours(theirs(case).config.to_dict()).eval()
    given = batch()
    assert given.encoder_tokens_BS is not None
    documents_BT = torch.tensor([[0] * 6 + [1] * 8])
    tokens_BT, read_BS = given.tokens_BT[:1], given.encoder_tokens_BS[:1]
    packed = Batch(tokens_BT, tokens_BT, documents_BT, read_BS, documents_BT)
    both_BTD = model(packed).hidden_BTD
    for part in (slice(0, 6), slice(6, 14)):
        alone = Batch(tokens_BT[:, part], tokens_BT[:, part], None, read_BS[:, part], None)
        torch.testing.assert_close(both_BTD[:, part], model(alone).hidden_BTD, rtol=1e-4, atol=1e-5)


def test_buckets_are_theirs() -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = torch.arange(-400, 401)
    for both_ways in (True, False):
        wanted = T5Attention._relative_position_bucket(distance, bidirectional=both_ways)
        assert torch.equal(bucket(distance, both_ways=both_ways), wanted)


def test_meta_build_and_bf16() -> None:
    for case in ("bert", "bert classes", "t5 1.0", "t5 1.1"):
        config = model_config(config_from_hf(theirs(case).config.to_dict()))
        with torch.device("meta"):
            model = build_model(config, compute_dtype=torch.bfloat16)
        assert not list(model.buffers())
        model.to_empty(device="cpu")
        init_weights(model, 1)
        hidden_BTD = model(batch()).hidden_BTD
        assert hidden_BTD.dtype == torch.bfloat16
        hidden_BTD.float().square().sum().backward()
        assert all(
            parameter.grad is None or parameter.grad.isfinite().all()
            for parameter in model.parameters()
        )


def test_experts_in_another_family_are_refused() -> None:
    keys = config_from_hf(theirs("bert").config.to_dict()) | {"num_experts": 4}
    with pytest.raises(ValueError, match="num_experts is built for decoders only"):
        build_model(model_config(keys))
