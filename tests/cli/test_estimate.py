"""`ava estimate` as people and programs meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Ava
from workbench.cli import main
from workbench.estimate import tracing

H100 = ("--config", "gpu/base", "--hardware_config", "hardware/h100_80gb")


def words(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    code = main(["estimate", *args])
    shown = capsys.readouterr()
    assert (code, shown.err) == (0, "")
    return shown.out


def test_what_does_not_fit_is_said_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = words(capsys, *H100)
    first, *rest = shown.splitlines()
    assert first.startswith("does not fit NVIDIA H100 SXM 80 GB has 80 GiB")
    assert "too much" in "\n".join([first, *rest[:2]])
    opening = "\n".join(rest[:12])
    assert "mostly" in opening
    assert "65.7 B parameters as upstream's code builds it" in opening
    assert "39.1 B with plain experts" in opening.replace("\n", " ").replace("  ", "")
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "\x1b" not in shown, "no colours where nobody looks"


def test_what_fits_says_how_much_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    shown = words(capsys, "tiny_cpu", "--hardware", "h100_80gb")
    assert shown.startswith("fits")
    for word in ("are left", "mostly", "batch", "memory", "speed", "MFU", "time", "cost", "energy"):
        assert word in shown
    assert "80 % interval" in shown
    assert "arXiv 2203.15556" in shown


def test_every_byte_stands_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = words(capsys, "tiny_cpu", "--hardware", "h100_80gb", "--explain")
    assert "100.0%  together" in shown
    for word in ("symbols", "sources", "hidden_size", "torch.utils.flop_counter", "the peak"):
        assert word in shown


def test_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(words(capsys, *H100, "--json"))
    assert data["fits"] is False
    assert data["headroom"] < 0
    assert data["upstream"]["total"] == 65_724_344_320
    assert data["stack"] == ["gpu/base", "hardware/h100_80gb"]
    assert data["fit"] is not None


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ((), "nothing to estimate yet"),
        (("tiny_cpu", "--hardware", "h200_80gb"), "h200"),
        (("no_recipe",), "there is no recipe"),
        (("tiny_cpu", "--resume", "run"), "ava train --resume"),
    ],
)
def test_wrong_usage(args: tuple[str, ...], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", *args]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert word in shown.err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--explain" in words(capsys, "--help")


def test_the_real_command_at_eighty_columns(ava: Ava) -> None:
    done = ava("estimate", "tiny_cpu")
    assert (done.returncode, done.stderr) == (0, "")
    assert "this machine" in done.stdout
    assert "not known" in done.stdout, "nobody knows the peak of a CPU"


def trace_of(peak: int) -> tracing.Trace:
    return tracing.Trace(peak, "loss", {"loss": peak}, "2 and 3 layers", 1.5, kept=False)


def test_the_trace_stands_beside_the_ledger(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("tiny_cpu", "--hardware", "h100_80gb", "--trace")
    truth = json.loads(words(capsys, *args[:-1], "--json"))["memory"]["allocated"]
    monkeypatch.setattr(tracing, "trace_plan", lambda *_: trace_of(truth))
    assert "+0.000%" in words(capsys, *args)
    monkeypatch.setattr(tracing, "trace_plan", lambda *_: trace_of(truth // 2))
    assert "a defect of the workbench" in words(capsys, *args)
    data = json.loads(words(capsys, *args, "--json"))["trace"]
    assert data["ledger"] == truth
    assert data["error"] == pytest.approx(1.0, abs=0.01)


def test_the_folder_of_a_hugging_face_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    asked = {}

    def ask(path: str, **options: object) -> tracing.Trace:
        asked[path] = options
        return trace_of(2**30)

    monkeypatch.setattr(tracing, "trace_huggingface", ask)
    shown = words(capsys, "--trace", str(tmp_path), "--batch_size", "4")
    assert "1 GiB" in shown
    assert asked[str(tmp_path)]["batch_size"] == 4
    file = str(tmp_path / "config.json")
    assert json.loads(words(capsys, "--trace", file, "--json"))["peak"] == 2**30
    assert main(["estimate", "--trace", file, "--hidden_size", "8"]) == 2
    assert "means nothing" in capsys.readouterr().err


def test_explaining_a_key_says_what_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["tiny_cpu", "--run.hardware", "h100_80gb"]
    assert main(["config", "explain", "batch_size", *options]) == 0
    shown = capsys.readouterr().out
    assert "with     16: memory" in shown
    assert "tokens per step 2.05 k → 4.1 k (+100%)" in shown
    assert main(["config", "explain", "batch_size", *options, "--json"]) == 0
    effects = json.loads(capsys.readouterr().out)["effects"]
    assert {each["value"] for each in effects} == {4, 16}
    assert main(["config", "explain", "run.name", *options]) == 0
    assert "with  " not in capsys.readouterr().out
