"""Fine-tuning of real weights and handing the result back, through the trainer itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers

from tests.training.helpers import MakeRun, curve
from workbench.models.huggingface import config_from_hf
from workbench.training import export
from workbench.training.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("in_process")

WIDTHS: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 24,
    "vocab_size": 256,
    "max_position_embeddings": 64,
}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A tiny Qwen3 as its authors would publish it, sure that every byte is followed by a space."""
    torch.manual_seed(5)
    model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**WIDTHS, head_dim=8))
    model.save_pretrained(tmp_path / "published")
    return tmp_path / "published"


def keys_of(folder: Path) -> dict[str, Any]:
    keys = config_from_hf(json.loads((folder / "config.json").read_text()))
    return {key: value for key, value in keys.items() if "." not in key}


@pytest.mark.honours("model.pretrained_path")
def test_a_run_starts_from_published_weights_and_gives_them_back(
    make_run: MakeRun, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = {"learning_rate": 1e-12, "max_steps": 1, "warmup_steps": 0, "weight_decay": 0.0}
    run = make_run(
        model=keys_of(published) | {"pretrained_path": str(published), "hidden_dropout": 0.0},
        training=training | {"mixed_precision": "no"},
    )
    assert main([str(run.path), "--attempt", "1"]) == 0
    # The loss of the first step is that of the published model on the same text.
    before = transformers.AutoModelForCausalLM.from_pretrained(published)
    assert export.main([str(run.path), "-o", str(tmp_path / "mine")]) == 0
    assert "step-00000001" in capsys.readouterr().out
    after = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "mine")
    for (name, one), other in zip(before.named_parameters(), after.named_parameters(), strict=True):
        torch.testing.assert_close(one, other[1], rtol=0, atol=1e-8, msg=name)
    random = make_run(model=keys_of(published) | {"hidden_dropout": 0.0}, training=training)
    assert main([str(random.path), "--attempt", "1"]) == 0
    assert curve(random)["loss"] != curve(run)["loss"]


def test_weights_of_another_network_stop_the_run_with_the_flags(
    make_run: MakeRun, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(model={"pretrained_path": str(published)})
    assert main([str(run.path), "--attempt", "1"]) == 2
    told = capsys.readouterr().err
    assert "model.qk_norm is false, the weights have true" in told
    assert "--model.qk_norm true" in told
    assert "--model.num_key_value_heads 1" in told


def test_what_cannot_be_exported_is_one_message(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    assert export.main([str(run.path), "-o", str(tmp_path / "m")]) == 1
    assert "the run has no good checkpoint" in capsys.readouterr().err
    odd = make_run(model={"position_embedding_type": "alibi"}, training={"max_steps": 1})
    assert main([str(odd.path), "--attempt", "1"]) == 0
    assert export.main([str(odd.path), "-o", str(tmp_path / "m"), "--dtype", "bf16"]) == 2
    assert "cannot be written for transformers" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
    assert export.main([str(odd.path), "-o", str(tmp_path / "m"), "--step", "7"]) == 1
