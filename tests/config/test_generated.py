"""What is made from the schema says what the schema says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workbench.config.jsonschema import OUTPUTS, generate, reference, stale
from workbench.config.keys import keys, sections
from workbench.config.layers import load, shipped
from workbench.config.schema import Config

SCHEMA: dict[str, Any] = json.loads(generate())
TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def accepts(schema: dict[str, Any], value: Any) -> bool:  # noqa: PLR0911  one return per kind
    """As much of a validator as the schema needs."""
    if "enum" in schema:
        return value in schema["enum"]
    if "oneOf" in schema:
        return sum(accepts(each, value) for each in schema["oneOf"]) == 1
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    named = [k for k in kinds if isinstance(whole if k == "integer" else value, TYPES[k])]
    if isinstance(value, bool):
        named = [kind for kind in kinds if kind == "boolean"]
    if not named:
        return False
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema["additionalProperties"]
        return all(
            accepts(properties[name], inner)
            if name in properties
            else others is not False and accepts(others, inner)
            for name, inner in value.items()
        )
    if isinstance(value, list):
        return all(accepts(schema["items"], item) for item in value)
    if isinstance(value, str):
        return len(value) <= schema.get("maxLength", len(value))
    if value is None or isinstance(value, bool):
        return True
    return bool(
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and schema.get("exclusiveMinimum", value - 1)
        < value
        < schema.get("exclusiveMaximum", value + 1)
    )


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_committed_copy_is_fresh(name: str) -> None:
    assert name not in stale(), "make it again: python -m workbench.config.jsonschema"


def test_it_is_draft_2020_12_and_has_every_key_and_section() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"

    def walk(schema: dict[str, Any], prefix: str) -> list[str]:
        found = []
        for name, inner in schema["properties"].items():
            assert inner["description"]
            if inner.get("type") == "object" and "properties" in inner:
                assert inner["additionalProperties"] is False
                found += walk(inner, f"{prefix}{name}.")
            else:
                found.append(f"{prefix}{name}")
        return found

    assert walk(SCHEMA, "") == ["extends", *keys()]
    assert "Unit: sequences." in str(SCHEMA["properties"]["training"])


def test_it_takes_what_the_workbench_takes() -> None:
    assert accepts(SCHEMA, Config().model_dump(mode="json"))
    assert accepts(SCHEMA, {"extends": ["gpu/tiny"], "training": {"max_steps": 5e2}})
    for name in shipped():
        assert accepts(SCHEMA, load(name)[-1].tree), name


@pytest.mark.parametrize(
    "tree",
    [
        {"training": {"learning_rat": 0.1}},
        {"training": {"batch_size": 0}},
        {"training": {"batch_size": "8"}},
        {"training": {"beta1": 1.0}},
        {"training": {"mixed_precision": "int8"}},
        {"training": {"gradient_checkpointing": 1}},
        {"data": {"mixture": {"a": "b"}}},
        {"run": {"name": "x" * 81}},
        {"training": 5},
        {"extends": 5},
    ],
)
def test_it_refuses_what_the_workbench_refuses(tree: dict[str, Any]) -> None:
    assert not accepts(SCHEMA, tree)


def test_the_reference_names_every_key_with_its_meaning() -> None:
    text = reference()
    for path in sections():
        assert f"\n## {path}\n" in text
    for key in keys().values():
        assert f"| `{key.name}` | {key.kind}" in text
        assert key.meaning in text
