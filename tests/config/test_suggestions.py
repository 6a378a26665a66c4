"""One typing error in the name of any key, alias or section: the right one is among the three."""

from __future__ import annotations

from string import ascii_lowercase

import pytest

from workbench.config.keys import keys, sections
from workbench.config.spelling import alias_sections, spellings, table
from workbench.config.suggestions import edits, suggest

LETTERS = ascii_lowercase + "_"
KNOWN = {*keys(), *table(), *sections(), *alias_sections()}


def misspellings(name: str) -> set[str]:
    """One error at every place: a letter missing, swapped, wrong or too many.

    Which wrong letter it is changes from place to place, so that over all names each has its turn.
    """
    found = set()
    for i in range(len(name) + 1):
        wrong = LETTERS[(i * 7 + len(name) * 3 + ord(name[0])) % len(LETTERS)]
        found |= {name[:i] + wrong + name[i:], name[:i] + wrong + name[i + 1 :]}
        found |= {name[:i] + name[i + 1 :], name[:i] + name[i : i + 2][::-1] + name[i + 2 :]}
    return {word for word in found - {name} if word}


def share_found(targets: list[tuple[str, str]]) -> float:
    """How often the target, or the key that it means, is among the suggestions."""
    tried = found = 0
    for path, meant in targets:
        section, _, name = path.rpartition(".")
        for word in misspellings(name):
            written = f"{section}.{word}" if section else word
            if written not in KNOWN:
                tried += 1
                found += not {path, meant}.isdisjoint(suggest(written))
    return found / tried


def test_every_key_and_section() -> None:
    assert share_found([(path, path) for path in (*keys(), *sections())]) >= 0.999


def test_every_alias() -> None:
    assert share_found([(alias, path) for path in keys() for alias in spellings(path)]) >= 0.995


def test_a_right_name_in_the_wrong_section_is_sent_home() -> None:
    names = [path.rpartition(".")[2] for path in (*keys(), *table())]
    for path, key in keys().items():
        written = f"lora.{key.name}"
        if names.count(key.name) == 1 and written not in KNOWN:
            assert suggest(written)[0] == path


@pytest.mark.parametrize(
    ("written", "first"),
    [
        ("training.batchsize", "training.batch_size"),
        ("training.batchSize", "training.batch_size"),
        ("training.Batch-Size", "training.batch_size"),
        ("model.hiddenSize", "model.hidden_size"),
        ("model.attention_heads", "model.num_attention_heads"),
        ("training.optimiser", "training.optimizer"),
        ("training.lr_shedule", "training.lr_schedule"),
        ("trainig", "training"),
        ("modell", "model"),
        ("wandb.projct", "logging.wandb.project"),
        ("deepspeed.zero_optimization.stag", "deepspeed.zero_stage"),
        ("training.deepspeed.zero_stge", "deepspeed.zero_stage"),
        ("trainng.batch_size", "training.batch_size"),
        ("learning_rat", "training.learning_rate"),
        ("num_gpu", "parallel.devices_per_node"),
        ("hardware", "run.hardware"),
    ],
)
def test_what_people_write(written: str, first: str) -> None:
    assert suggest(written)[0] == first


def test_a_word_that_is_like_nothing_suggests_nothing() -> None:
    assert suggest("foo") == []
    assert suggest("training.qqqqqqqq") == []
    assert suggest("") == []
    assert suggest("model.") == []
    assert suggest("x_" * 5000) == []


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("abc", "axc", 1), ("kitten", "sitting", 3)],
)
def test_typing_errors_are_counted(a: str, b: str, distance: int) -> None:
    assert edits(a, b) == edits(b, a) == distance
