"""`ava import`, `ava lint` and `ava export`, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.cli import main
from workbench.plan import plan_from

GOOD = {
    "train_batch_size": 64,
    "train_micro_batch_size_per_gpu": 4,
    "gradient_accumulation_steps": 2,
    "bf16": {"enabled": True},
    "zero_optimization": {"stage": 2, "log_trace_cache_warnings": True},
    "optimizer": {"type": "AdamW", "params": {"lr": 0.0002, "weight_decay": 0.01}},
    "dump_state": False,
}
BAD = GOOD | {"fp16": {"enabled": True}, "gradient_cliping": 1.0}
HF = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 512,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "bos_token_id": 1,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with three foreign files, as the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name, tree in (("good.json", GOOD), ("bad.json", BAD), ("config.json", HF)):
        (tmp_path / name).write_text(json.dumps(tree, indent=1))
    (tmp_path / "hostfile").write_text("n1 slots=4\nn2 slots=4\n")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def data(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    code, out, _ = run(capsys, *words, "--json")
    assert code == 0
    made: dict[str, Any] = json.loads(out)
    return made


@pytest.mark.usefixtures("here")
def test_an_import_explains_itself_and_writes_a_layer(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "import", "good.json")
    assert code == 0
    for line in (
        'DeepSpeed: it has "train_micro_batch_size_per_gpu" at its top',
        "zero_optimization.stage             → deepspeed.zero_stage = 2",
        "dump_state = false",
        "a debugging aid:",
        "line 2  train_batch_size: 8 devices",
        "wrote good.layer.yaml",
        "ava train --config good.layer.yaml",
    ):
        assert line in out, line
    config = plan_from(layers=["good.layer.yaml"]).config
    assert config.training.learning_rate == 0.0002
    assert config.parallel.devices_per_node == 8
    assert config.imported.keys == {
        "zero_optimization": {"log_trace_cache_warnings": True},
        "dump_state": False,
    }


@pytest.mark.usefixtures("here")
def test_an_import_overwrites_nothing_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("run: {name: mine}\n")
    code, _, err = run(capsys, "import", "good.json", "-o", "mine.yaml")
    assert code == 2
    assert "the file is there already; nothing was written" in err
    assert Path("mine.yaml").read_text() == "run: {name: mine}\n"
    assert run(capsys, "import", "good.json", "-o", "mine.yaml", "--force")[0] == 0
    assert "Imported from good.json (DeepSpeed)." in Path("mine.yaml").read_text()


@pytest.mark.usefixtures("here")
def test_files_that_belong_together_become_one_layer(capsys: pytest.CaptureFixture[str]) -> None:
    made = data(capsys, "import", "good.json", "config.json", "hostfile", "-o", "all.yaml")
    assert [file["system"] for file in made["files"]] == ["deepspeed", "huggingface", "deepspeed"]
    config = plan_from(layers=["all.yaml"]).config
    assert (config.model.hidden_size, config.parallel.num_nodes) == (64, 2)
    assert config.imported.others["huggingface"]["bos_token_id"] == 1
    out = data(capsys, "export", "huggingface", "all.yaml", "-o", "hf")
    assert json.loads(Path(out["files"][0]).read_text())["bos_token_id"] == 1


@pytest.mark.usefixtures("here")
def test_lint_says_whether_the_system_would_start(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "lint", "good.json")
    assert (code, "refuses" in out) == (0, False)
    code, out, _ = run(capsys, "lint", "bad.json")
    assert code == 1
    assert "bfloat16 and fp16 modes cannot be simultaneously enabled" in out
    assert "did you mean gradient_clipping?" in out
    assert not list(Path().glob("*.yaml"))


@pytest.mark.usefixtures("here")
def test_nothing_is_found_about_a_model_that_no_file_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("tp.json").write_text('{"train_batch_size": 8, "tensor_parallel": {"autotp_size": 3}}')
    found = data(capsys, "lint", "tp.json")["findings"]
    assert not [each for each in found if each["rule"] == "tensor-parallel-divides-heads"]


@pytest.mark.usefixtures("here")
def test_the_data_of_a_lint_has_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "lint", "bad.json", "--json")
    made = json.loads(out)
    assert (code, made["refused"], made["wrote"]) == (1, True, None)
    (file,) = made["files"]
    told = {*file["understood"], *(each["path"] for each in file["residue"])}
    assert {"dump_state", "fp16.enabled", "optimizer.params.lr", "gradient_cliping"} <= told


@pytest.mark.usefixtures("here")
def test_an_export_says_what_was_lost_and_how_it_starts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "export", "deepspeed", "tiny_cpu", "-o", "out")
    assert code == 0
    assert "wrote out/ds_config.json" in out
    assert "lost: deepspeed cannot say" in out
    assert "model.hidden_size" in out
    assert "deepspeed --num_nodes 1 --num_gpus 1 train.py" in out
    code, _, err = run(capsys, "export", "deepspeed", "tiny_cpu", "-o", "out")
    assert (code, "nothing was written" in err) == (2, True)
    assert run(capsys, "export", "deepspeed", "tiny_cpu", "-o", "out", "--force")[0] == 0


@pytest.mark.usefixtures("here")
def test_an_export_of_what_the_system_refuses_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "import", "good.json", "-o", "layer.yaml")[0] == 0
    words = ("layer.yaml", "--training.optimizer", "onebitadam", "-o", "out")
    code, out, _ = run(capsys, "export", "deepspeed", *words)
    assert code == 0
    assert "OneBitAdam is not a supported DeepSpeed Optimizer" in out


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("command", ["train", "config check"])
def test_a_foreign_file_given_as_a_layer_is_one_message(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *command.split(), "--config", "good.json")
    assert code == 2
    assert "this is a config of DeepSpeed, not a layer" in err
    assert "ava import good.json" in err


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["import", "nowhere.json"], "there is no such config file"),
        (["import", "good.json", "--from", "deepsped"], "one of: deepspeed"),
        (["import", "good.json", "--form", "x"], "there is no option '--form'"),
        (["import", "--from", "ava"], "which file?"),
        (["import", "good.json", "--from"], "--from needs a value"),
        (["import", "good.json", "-o", "no/such/folder.yaml"], "cannot be written"),
        (["lint", "good.json", "-o", "x.yaml"], "ava lint writes nothing"),
        (["export", "deepsped", "-o", "out"], "one of: deepspeed"),
        (["export", "deepspeed", "tiny_cpu"], "where to?"),
        (["export", "deepspeed", "no_such_recipe", "-o", "out"], "there is no recipe"),
        (
            ["export", "huggingface", "-o", "o", "--model.residual_type", "parallel"],
            "no model like",
        ),
    ],
)
def test_every_mistake_is_one_message(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("here")
def test_broken_files_are_one_message_and_a_repair(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cut.json").write_text('{"train_batch_size": 8,\n "bf16": {"enabled"')
    code, _, err = run(capsys, "import", "cut.json")
    assert code == 2
    assert "cut.json:2" in err
    Path("wide.json").write_bytes(json.dumps(GOOD).encode("utf-16"))
    code, out, _ = run(capsys, "import", "wide.json")
    assert (code, "the file is UTF-16, read as such" in out) == (0, True)
    Path("notes.json").write_text('{ // mine\n "train_batch_size": 8, # here\n}')
    assert run(capsys, "import", "notes.json")[0] == 0
    Path("none.json").write_text("")
    assert "the file is empty" in run(capsys, "import", "none.json")[2]


@pytest.mark.parametrize("command", ["import", "lint", "export"])
def test_help_fits_a_terminal(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
