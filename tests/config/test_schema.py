"""Every key explains itself, and the schema keeps its promises to the trainer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import workbench.config.schema as schema_package
from workbench.config.keys import blank, by_name, keys, sections, value_at
from workbench.config.schema import Config
from workbench.config.schema.base import Section

PLAIN_NUMBERS = {  # whole numbers that count nothing
    "training.seed",
    "data.shuffle_seed",
    "run.seed",
    "model.episodic_memory.task_id",
}


def test_every_key_explains_itself() -> None:
    for path, key in keys().items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key.name), path
        assert 20 <= len(key.meaning) <= 300, f"{path}: one or two sentences"
        assert key.meaning.endswith((".", ").")), path
        for text in (key.changes, key.ignored, key.unhonoured, *key.unhonoured_values.values()):
            assert text is None or not text.endswith("."), f"{path}: {text}"
        if key.ignored:
            assert key.ignored.split()[0] in {"with", "unless", "on", "for", "by"}, path
        if key.type == "integer" and path not in PLAIN_NUMBERS:
            assert key.unit, f"{path}: what is counted?"


def test_the_special_values_of_every_key_exist() -> None:
    for path, key in keys().items():
        assert set(key.unhonoured_values) <= set(key.choices), path
        assert key.default not in list(key.unhonoured_values), path
        assert key.why_unhonoured(key.default) is None, path
        if key.type == "choice":
            assert key.default in key.choices or (key.optional and key.default is None), path
        if key.needs:
            switch, _, word = key.needs.partition("=")
            assert keys()[switch].type == ("choice" if word else "boolean"), path
            assert not word or word in keys()[switch].choices, path


def test_the_switch_of_every_key_can_be_followed_to_the_end() -> None:
    for key in keys().values():
        seen = [key.path]
        while (needs := keys()[seen[-1]].needs) is not None:
            seen.append(needs.partition("=")[0])
            assert len(seen) < 6, seen


def test_the_defaults_are_a_config_and_say_what_the_keys_say() -> None:
    for config in (Config(), Config.model_validate(blank()), Config.model_validate({})):
        assert all(value_at(config, path) == key.default for path, key in keys().items())


def test_the_keys_of_the_first_trainer_stay_what_they_were() -> None:
    defaults = {
        "model.hidden_size": 256,
        "model.intermediate_size": 683,
        "model.router_type": "topk",
        "training.batch_size": 8,
        "training.max_steps": 1000,
        "training.learning_rate": 3e-4,
        "training.lr_scheduler_type": "cosine",
        "training.mixed_precision": "auto",
        "training.save_total_limit": 3,
        "data.path": None,
        "data.tokenizer_name": "bytes",
        "data.max_length": 256,
        "evaluation.prompt": "def ",
        "run.device": "auto",
    }
    assert {path: keys()[path].default for path in defaults} == defaults
    assert all(
        keys()[path].unhonoured is None or path == "data.tokenizer_name" for path in defaults
    )


def test_unknown_keys_are_refused_everywhere_and_values_never_change() -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"deepspeed": {"offload_param": {"devise": "cpu"}}})
    config = Config()
    with pytest.raises(ValidationError):
        config.training.batch_size = 2  # type: ignore[misc]


def test_a_section_lies_in_the_file_of_its_path() -> None:
    root = Path(schema_package.__file__).parent
    for path in sections():
        place = root.joinpath(*path.split("."))
        assert place.with_suffix(".py").exists() or (place / "__init__.py").exists(), path
    for file in root.rglob("*.py"):
        classes = re.findall(r"^class (\w+)\((\w+)\)", file.read_text(), re.MULTILINE)
        assert len(classes) <= 1, f"one section per file: {file}"


def test_every_section_says_what_it_is() -> None:
    def walk(model: type[Section]) -> None:
        assert (model.__doc__ or "").strip().endswith("."), model
        for info in model.model_fields.values():
            if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
                walk(info.annotation)

    walk(Config)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("batch_size", "training.batch_size"),
        ("learning_rate", "training.learning_rate"),
        ("num_epochs", "training.num_epochs"),
        ("warmup_steps", "training.warmup_steps"),
        ("max_steps", "training.max_steps"),
        ("temperature", "evaluation.temperature"),
        ("zero_stage", "deepspeed.zero_stage"),
        ("name", "run.name"),
    ],
)
def test_a_last_name_means_the_everyday_key(name: str, path: str) -> None:
    assert by_name()[name] == (path,)


def test_a_last_name_that_everybody_has_means_nobody() -> None:
    assert len(by_name()["enabled"]) > 1


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("training.batch_size", "a whole number ≥ 1"),
        ("training.beta1", "a number ≥ 0, < 1"),
        ("training.no_decay_patterns", "a list of texts, or null"),
        ("data.mixture", "a mapping of names to numbers, or null"),
        ("deepspeed.offload_param.device", "none, cpu or nvme, or null"),
        ("parallel.master_port", "a whole number ≥ 1, ≤ 65535"),
    ],
)
def test_kinds_in_words(path: str, kind: str) -> None:
    assert keys()[path].kind == kind
