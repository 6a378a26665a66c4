"""Keys on the command line: full path, unique last name, dashes or underscores."""

from __future__ import annotations

import pytest

from workbench.config.overrides import layer, resolve_key
from workbench.errors import UsageError


@pytest.mark.parametrize(
    "typed", ["training.batch_size", "training.batch-size", "batch_size", "batch-size"]
)
def test_spellings_of_one_key(typed: str) -> None:
    assert resolve_key(typed) == "training.batch_size"


def test_values_are_read_as_yaml_but_text_stays_text() -> None:
    tree = layer({"learning_rate": "3e-5", "prompt": "12", "name": "1e3", "max_steps": "1e3"}).tree
    assert tree["training"] == {"learning_rate": 3e-5, "max_steps": 1000.0}
    assert tree["evaluation"] == {"prompt": "12"}
    assert tree["run"] == {"name": "1e3"}


def test_null_takes_an_optional_value_away() -> None:
    assert layer({"num_key_value_heads": "null"}).tree == {"model": {"num_key_value_heads": None}}


def test_an_unknown_key_names_the_likeliest() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_key("learning_rat")
    assert "--training.learning_rate" in str(caught.value.fix)
    assert caught.value.exit_code == 2


def test_a_name_means_the_key_that_trains() -> None:
    assert resolve_key("max_grad_norm") == "training.max_gradient_norm"
    assert resolve_key("num_epochs") == "training.num_epochs"
