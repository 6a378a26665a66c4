"""What the tests of the checks share: a text in, its findings out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workbench.config.checking import validate
from workbench.config.findings import Finding
from workbench.config.layers import Layer, compose
from workbench.config.reading import read_document
from workbench.config.rules import Subject, check
from workbench.hardware.devices import resolve

Check = Callable[..., list[Finding]]


def findings_of(
    text: str, name: str = "my.yaml", *, missing_paths: frozenset[str] = frozenset()
) -> list[Finding]:
    """Everything there is to say about a config file by itself."""
    document = read_document(text, name)
    composed = compose([Layer(name, document.tree, name, document.marks)])
    config, findings = validate(composed)
    if config is None:
        return findings
    hardware, unknown = resolve(config, composed.origins)
    return unknown + check(Subject(config, composed.origins, hardware, missing_paths))


@pytest.fixture
def findings() -> Check:
    return findings_of
