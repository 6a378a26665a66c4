"""bf16 is taken where it is native, and the choice says why."""

from __future__ import annotations

import pytest
import torch

from workbench.training import precision
from workbench.training.precision import choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "supported", "name", "words"),
    [
        ({"avx512_bf16", "avx2"}, True, "bf16", "natively (avx512_bf16)"),
        ({"amx_bf16"}, True, "bf16", "natively (amx_bf16)"),
        ({"avx2"}, True, "fp32", "no native bf16"),
        ({"avx512_bf16"}, False, "fp32", "no native bf16"),
        (set(), False, "fp32", "no native bf16"),
    ],
)
def test_auto(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], name: str, words: str, *, supported: bool
) -> None:
    monkeypatch.setattr(precision, "cpu_flags", lambda: flags)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    chosen = choose_precision("auto", CPU)
    assert chosen.name == name
    assert words in chosen.reason


def test_what_is_asked_for_is_done_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_flags", set)
    assert choose_precision("no", CPU).dtype == torch.float32
    chosen = choose_precision("bf16", CPU)
    assert chosen.dtype == torch.bfloat16
    assert "emulates" in chosen.reason
    chosen = choose_precision("fp16", CPU)
    assert chosen.dtype == torch.float16
    assert "loss scaling" in chosen.reason
    chosen = choose_precision("fp8", CPU)
    assert chosen.dtype == torch.float32
    assert "fp8 is not built" in chosen.reason


def test_this_machine_can_be_asked() -> None:
    assert choose_precision("auto", CPU).name in ("bf16", "fp32")
