"""Weight files: shards, names with and without a head, and every mistake as one message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from workbench.config.schema import ModelConfig
from workbench.errors import CheckpointError, ConfigError, WorkbenchError
from workbench.models.base import LanguageModel
from workbench.models.build import build_model
from workbench.models.huggingface import (
    UnsupportedError,
    config_from_hf,
    hf_config,
    load_pretrained,
    save_pretrained,
)
from workbench.models.huggingface.table import FAMILIES
from workbench.models.init import init_weights

SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "num_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 32,
}
GPT2: dict[str, Any] = {
    "position_embedding_type": "learned",
    "max_position_embeddings": 16,
    "norm_type": "layernorm",
    "attention_bias": True,
    "mlp_bias": True,
    "hidden_act": "gelu_new",
}


def make(seed: int = 1, **keys: Any) -> LanguageModel:
    model = build_model(ModelConfig(**(SHAPE | keys)))
    init_weights(model, seed)
    return model


def equal(one: LanguageModel, other: LanguageModel) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("keys", [{}, {"num_experts": 4, "num_experts_per_token": 2}], ids=str)
def test_shards_and_their_index(keys: dict[str, Any], tmp_path: Path) -> None:
    model = make(**keys)
    save_pretrained(model, tmp_path / "m", shard_bytes=4000)
    files = sorted(tmp_path.glob("m/*.safetensors"))
    assert len(files) > 3
    assert files[0].name == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((tmp_path / "m/model.safetensors.index.json").read_text())
    held = {name: file.name for file in files for name in load_file(file)}
    assert index["weight_map"] == held
    assert index["metadata"]["total_size"] == 4 * model.num_parameters()
    for path in (tmp_path / "m", tmp_path / "m/model.safetensors.index.json"):
        fresh = make(seed=2, **keys)
        load_pretrained(fresh, path)
        assert equal(fresh, model)


def test_half_precision_files(tmp_path: Path) -> None:
    model = make()
    save_pretrained(model, tmp_path / "m", dtype=torch.bfloat16)
    assert json.loads((tmp_path / "m/config.json").read_text())["dtype"] == "bfloat16"
    fresh = make(seed=2)
    load_pretrained(fresh, tmp_path / "m")
    for one, other in zip(fresh.parameters(), model.parameters(), strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other.bfloat16().float())


def test_a_file_without_head_and_prefix(tmp_path: Path) -> None:
    """The published gpt2 was saved as the bare network, with masks among its tensors."""
    model = make(**GPT2)
    save_pretrained(model, tmp_path / "m")
    tensors = load_file(tmp_path / "m/model.safetensors")
    bare = {name.removeprefix("transformer."): value for name, value in tensors.items()}
    bare["h.0.attn.bias"] = torch.ones(1, 1, 16, 16)
    save_file(bare, tmp_path / "m/model.safetensors")
    fresh = make(seed=2, **GPT2)
    load_pretrained(fresh, tmp_path / "m")
    assert equal(fresh, model)


def test_a_checkpoint_of_ours(tmp_path: Path) -> None:
    model = make(num_experts=3)
    save_file({n: p.detach() for n, p in model.named_parameters()}, tmp_path / "model.safetensors")
    for path in (tmp_path, tmp_path / "model.safetensors"):
        fresh = make(seed=2, num_experts=3)
        load_pretrained(fresh, path)
        assert equal(fresh, model)


def rewrite(folder: Path, change: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def drop(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["model.layers.1.mlp.up_proj.weight"]


def reshape(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"] = torch.ones(3)


def add(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.layers.7.mlp.up_proj.weight"] = torch.ones(3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop, ("lack 1 of 20 tensors", "model.layers.1.mlp.up_proj.weight")),
        (reshape, ("another shape", "model.norm.weight is [3], the network needs [16]")),
        (add, ("no place for", "model.layers.7.mlp.up_proj.weight")),
    ],
)
def test_wrong_tensors_are_named(change: Any, words: tuple[str, ...], tmp_path: Path) -> None:
    save_pretrained(make(), tmp_path / "m")
    rewrite(tmp_path / "m", change)
    model, before = make(seed=2), make(seed=2)
    with pytest.raises(CheckpointError) as caught:
        load_pretrained(model, tmp_path / "m")
    assert all(word in caught.value.render() for word in words)
    assert equal(model, before), "nothing is loaded by half"


def test_another_network_is_named_with_the_flags_that_fit_it(tmp_path: Path) -> None:
    save_pretrained(make(vocab_size=40, num_key_value_heads=1, hidden_act="geglu"), tmp_path / "m")
    with pytest.raises(ConfigError) as caught:
        load_pretrained(make(), tmp_path / "m")
    text = caught.value.render()
    assert "model.vocab_size is 32, the weights have 40" in text
    assert "model.hidden_act is swiglu, the weights have geglu" in text
    flags = "--model.num_key_value_heads 1 --model.vocab_size 40 --model.hidden_act geglu"
    assert flags in text
    # What does not decide the network may differ.
    load_pretrained(
        make(
            vocab_size=40,
            num_key_value_heads=1,
            hidden_act="geglu",
            max_position_embeddings=99,
            hidden_dropout=0.3,
            head_dim=8,
            attention_implementation="eager",
        ),
        tmp_path / "m",
    )


def pickle_only(folder: Path) -> Path:
    folder.mkdir()
    torch.save({}, folder / "pytorch_model.bin")
    return folder


def a_pickle(folder: Path) -> Path:
    return pickle_only(folder) / "pytorch_model.bin"


def nothing(folder: Path) -> Path:
    return folder / "none"


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def text(folder: Path) -> Path:
    folder.mkdir()
    (folder / "notes.txt").write_text("x")
    return folder / "notes.txt"


def torn(folder: Path) -> Path:
    save_pretrained(make(), folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    return folder


def not_json(folder: Path) -> Path:
    save_pretrained(make(), folder)
    (folder / "config.json").write_text("{")
    return folder


def unknown_family(folder: Path) -> Path:
    save_pretrained(make(), folder)
    (folder / "config.json").write_text('{"model_type": "mamba"}')
    return folder


def lacking(folder: Path) -> Path:
    save_pretrained(make(), folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def lost_shard(folder: Path) -> Path:
    save_pretrained(make(), folder, shard_bytes=4000)
    sorted(folder.glob("*.safetensors"))[1].unlink()
    return folder


def bad_index(folder: Path) -> Path:
    save_pretrained(make(), folder, shard_bytes=4000)
    (folder / "model.safetensors.index.json").write_text("[]")
    return folder


def strange_names(folder: Path) -> Path:
    folder.mkdir()
    save_file({"a": torch.ones(2)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (pickle_only, ("a pickle (.bin, .pt) can run any code", "save_pretrained")),
        (a_pickle, ("pytorch_model.bin is no safetensors file",)),
        (nothing, ("no such file or folder",)),
        (empty, ("no weights in this folder",)),
        (text, ("this is no weight file",)),
        (torn, ("cannot be read", "incomplete")),
        (not_json, ("config.json cannot be read",)),
        (unknown_family, ("models of the type mamba cannot be read", "llama")),
        (lacking, ("config.json lacks vocab_size",)),
        (lost_shard, ("weight files are missing", "model-00002-of")),
        (bad_index, ("index of the weight files cannot be read",)),
        (strange_names, ("names that no known family uses",)),
    ],
)
def test_every_mistake_is_one_message(prepare: Any, words: tuple[str, ...], tmp_path: Path) -> None:
    path = prepare(tmp_path / "m")
    with pytest.raises(WorkbenchError) as caught:
        load_pretrained(make(), path)
    told = caught.value.render()
    assert all(word in told for word in words), told
    assert "try:" in told


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path: Path) -> None:
    save_pretrained(make(), tmp_path / "m")
    before = {file.name: file.read_bytes() for file in (tmp_path / "m").iterdir()}
    with pytest.raises(CheckpointError, match="not empty"):
        save_pretrained(make(seed=3), tmp_path / "m")
    assert before == {file.name: file.read_bytes() for file in (tmp_path / "m").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["m"], "nothing half-written stays"


def test_a_network_that_no_family_has_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        save_pretrained(make(qk_norm=True, position_embedding_type="alibi"), tmp_path / "m")
    assert "the nearest, qwen3, has model.position_embedding_type rope, not alibi" in (
        caught.value.render()
    )
    with pytest.raises(UnsupportedError, match="nearest"):
        hf_config(ModelConfig(norm_type="layernorm"))


@pytest.mark.parametrize(
    "hf",
    [
        {"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True},
        {"model_type": "llama", "pretraining_tp": 2},
        {"model_type": "llama", "rope_scaling": {"rope_type": "longrope", "factor": 2.0}},
        {"model_type": "llama", "hidden_act": "tanh"},
        {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 8},
    ],
    ids=str,
)
def test_what_we_cannot_do_is_refused_and_never_ignored(hf: dict[str, Any]) -> None:
    whole = {
        "vocab_size": 32, "hidden_size": 16, "n_embd": 16, "num_hidden_layers": 2, "n_layer": 2,
        "num_attention_heads": 2, "n_head": 2, "intermediate_size": 24, "max_window_layers": 1,
        "max_position_embeddings": 64,
    }  # fmt: skip
    with pytest.raises(UnsupportedError, match="not built"):
        config_from_hf(whole | hf)


def test_configs_of_older_versions_read_the_same() -> None:
    scaling = {"type": "linear", "factor": 2.0}
    whole = {
        "model_type": "llama", "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 64,
    }  # fmt: skip
    old = config_from_hf(whole | {"rope_theta": 500.0, "rope_scaling": scaling})
    new = {"rope_parameters": {"rope_theta": 500.0, "rope_type": "linear", "factor": 2.0}}
    assert old == config_from_hf(whole | new)
    assert old["rope_scaling.type"] == "linear"


def test_every_family_is_listed_under_its_own_name() -> None:
    assert all(name == family.name for name, family in FAMILIES.items())
