"""The tracer as a service: shallow traces tell a deep one, answers are kept, errors are words."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.estimate import families
from tests.estimate.configs import config as random_config
from tests.estimate.configs import decoder
from workbench.config.schema import Config
from workbench.errors import WorkbenchError
from workbench.estimate import tracing
from workbench.estimate.setting import Setting
from workbench.hardware.devices import device
from workbench.training.tracer.deep import edited, plan_of, trace_deep
from workbench.training.tracer.trace import trace

H100 = device("h100_80gb")


def whole(config: Config) -> int:
    setting = Setting.of(config, H100)
    return trace(
        config,
        compute_dtype=torch.bfloat16 if setting.width == 2 else torch.float32,
        recompute=setting.recompute,
        cpu=False,
    ).peak


def t5(rng: random.Random) -> Config:
    model = families.t5(rng) | {"num_layers": 6, "num_encoder_layers": 5}
    return Config.model_validate(
        {"model": model, "training": {"mixed_precision": "no"}, "data": {"max_length": 64}}
    )


@pytest.mark.parametrize("kind", ["single", "t5"])
def test_shallow_traces_tell_the_peak_of_a_deep_network(kind: str) -> None:
    rng = random.Random(kind)
    config = t5(rng) if kind == "t5" else edited(random_config(rng, kind), {"num_layers": 7})
    assert plan_of(config).axes
    assert trace_deep(config, H100)["peak"] == pytest.approx(whole(config), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["single", "ddp", "fsdp"])
def test_shallow_traces_tell_many(strategy: str) -> None:
    for seed in range(3):
        config = random_config(random.Random(f"{strategy} {seed}"), strategy)
        config = edited(config, {"num_layers": 9})
        assert trace_deep(config, H100)["peak"] == pytest.approx(whole(config), rel=1e-3), seed


def test_a_pattern_of_layers_grows_by_its_period() -> None:
    shape = decoder(random.Random(0)) | {"num_experts": 4, "num_experts_per_token": 2}
    moe = {"dense_layer_interval": 3, "num_dense_layers": 2}
    config = Config.model_validate({"model": shape | {"num_layers": 24, "moe": moe}})
    plan = plan_of(config)
    (axis,) = plan.axes
    assert axis.edits["num_layers"] - plan.edits["num_layers"] == 3
    assert plan.edits["num_layers"] + 3 * axis.steps == 24
    shallow = plan_of(edited(config, {"num_layers": 5}))
    assert (shallow.edits, shallow.axes) == ({"num_layers": 5}, ())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ava" / "traces"


def tiny() -> Config:
    shape = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 2, "vocab_size": 300}
    return Config.model_validate(
        {"model": shape, "training": {"mixed_precision": "no"}, "data": {"max_length": 32}}
    )


def test_an_answer_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tracing.trace_plan(tiny(), "h100_80gb")
    assert first.peak == max(first.moments.values()) == whole(tiny())
    assert not first.kept

    def never(_request: str) -> dict[str, Any]:
        raise AssertionError

    monkeypatch.setattr(tracing, "_run", never)
    again = tracing.trace_plan(tiny(), "h100_80gb")
    assert again.kept
    assert again._replace(kept=False) == first
    (kept,) = cache.iterdir()
    # Another place of the runs is the same plan; another batch is not.
    elsewhere = tiny().model_copy(
        update={"run": tiny().run.model_copy(update={"runs_dir": "elsewhere"})}
    )
    assert tracing.trace_plan(elsewhere, "h100_80gb").kept
    with pytest.raises(AssertionError):
        tracing.trace_plan(tiny(), None)
    kept.write_text("{broken")
    with pytest.raises(AssertionError):
        tracing.trace_plan(tiny(), "h100_80gb")


def test_the_code_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tracing.key_of("{}")
    assert before == tracing.key_of("{}") != tracing.key_of("[]")
    monkeypatch.setattr(tracing, "code_hash", lambda: "another")
    assert tracing.key_of("{}") != before


def test_what_cannot_be_traced_is_a_sentence(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no such model"}))
    with pytest.raises(WorkbenchError, match="cannot read this model"):
        tracing.trace_huggingface(str(tmp_path))
    with pytest.raises(WorkbenchError, match="cannot be read"):
        tracing.trace_huggingface(str(tmp_path / "nowhere"))
    assert not cache.exists(), "a failure is not kept"


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "bert", "t5"])
def test_a_hugging_face_model(family: str, cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    width = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}
    tree: dict[str, Any] = {
        "llama": {"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 6, **width},
        "bert": {"architectures": ["BertForMaskedLM"], "num_hidden_layers": 6, **width},
        "t5": {
            "architectures": ["T5ForConditionalGeneration"],
            "num_layers": 5,
            "num_decoder_layers": 6,
            "d_model": 64,
            "d_ff": 128,
            "num_heads": 4,
            "d_kv": 16,
        },
    }[family]
    (tmp_path / "config.json").write_text(json.dumps(tree | {"model_type": family}))
    deep = tracing.trace_huggingface(str(tmp_path), batch_size=2, max_length=64)
    assert deep.traced == "2 and 3 layers"
    # As if layers differed: all of them are traced.
    from workbench.training.tracer import huggingface

    request = {
        "huggingface": json.dumps(tree | {"model_type": family}),
        "batch_size": 2,
        "max_length": 64,
        "mixed_precision": "bf16",
        "gradient_checkpointing": False,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface, "_uneven", lambda _tree: True)
        assert deep.peak == pytest.approx(huggingface.trace_model(request)["peak"], rel=1e-3)
