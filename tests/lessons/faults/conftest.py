"""One healthy training for all faults that begin or end with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workbench.lessons.faults.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that `Stage.healthy` trains, made once."""
    stage = Stage(tmp_path_factory.mktemp("healthy"), lambda _: None, lambda _: None)
    try:
        return stage.healthy().path
    finally:
        stage.close()
