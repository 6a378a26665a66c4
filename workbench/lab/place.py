"""Where a Lab keeps what is its own: a folder in the workspace, and nothing of it elsewhere.

A learner's Jupyter stays as it was: the kernel that we offer, the layout of our windows, the trust
database and the connection files lie in ``WORKSPACE/.ava/lab``; only a setting that the learner
changes in the settings menu goes where their own settings are.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.runs.files import atomic_write_json

if TYPE_CHECKING:
    from pathlib import Path

KERNEL: Final = "ava-workbench"
"""Name of the kernel that the lessons ask for."""

_OVERRIDES: Final = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # A page that is loaded again shows the panel as it was when the notebook was last saved.
    "@jupyterlab/docmanager-extension:plugin": {"autosaveInterval": 15},
    # The name of a lesson does not fit beside a date.
    "@jupyterlab/filebrowser-extension:browser": {"showLastModifiedColumn": False},
}
"""Defaults of settings, by plugin; what the learner sets wins over them."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of the Lab of one workspace.

    Attributes:
        workspace: The learner's folder, absolute.
    """

    workspace: Path

    @property
    def folder(self) -> Path:
        """All that is the Lab's own."""
        return self.workspace / ".ava" / "lab"

    @property
    def lock(self) -> Path:
        """Held by the server as long as it lives."""
        return self.folder / "lock"

    @property
    def info(self) -> Path:
        """Address, token and process of the server that answers."""
        return self.folder / "server.json"

    @property
    def log(self) -> Path:
        """What the newest server has said."""
        return self.folder / "lab.log"

    @property
    def door(self) -> Path:
        """A page that leads to the Lab: it keeps the token out of the browser's command line."""
        return self.folder / "open.html"

    @property
    def data(self) -> Path:
        """What Jupyter calls its data folder: kernels, the trust database."""
        return self.folder / "data"

    @property
    def settings(self) -> Path:
        """Defaults of JupyterLab's settings."""
        return self.folder / "app" / "settings"

    def make(self) -> None:
        """Make the folders, readable by their owner only: a token lies in them.

        Raises:
            OSError: The workspace cannot be written.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.folder.chmod(0o700)
        for each in (self.data / "kernels" / KERNEL, self.settings / "overrides.d"):
            each.mkdir(parents=True, exist_ok=True)

    def write(self) -> None:
        """Write the kernel and the defaults of the settings; the interpreter may have changed.

        Raises:
            OSError: The workspace cannot be written.
        """
        kernel = self.data / "kernels" / KERNEL / "kernel.json"
        atomic_write_json(kernel, kernel_spec(self.workspace), masked=False)
        overrides = self.settings / "overrides.d" / "ava-workbench.json"
        atomic_write_json(overrides, _OVERRIDES, masked=False)

    def server(self) -> dict[str, Any]:
        """What the newest server wrote of itself; empty when there is nothing whole."""
        try:
            found = json.loads(self.info.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def kernel_spec(workspace: Path) -> dict[str, Any]:
    """The kernel of the lessons: this interpreter, started so that no file can stand in its way.

    ``-P`` keeps the folder of the notebook out of the way while the kernel starts: a learner's
    ``random.py`` would stop it. `workbench.lab.kernel` lets it in again, behind everything else.
    """
    return {
        "argv": [
            sys.executable,
            "-P",
            *("-m", "workbench.lab.kernel"),
            *("-f", "{connection_file}"),
        ],
        "display_name": "Ava Workbench",
        "language": "python",
        "env": {"AVA_WORKSPACE": str(workspace)},
        "metadata": {"debugger": True},
    }


def environment(place: Place, given: dict[str, str]) -> dict[str, str]:
    """The environment of a server: folders of its own, and the learner's kernels still in sight.

    Args:
        place: Where the Lab keeps what is its own.
        given: The environment that `ava lab` has.
    """
    from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir

    settings = os.path.join(jupyter_config_dir(), "lab", "user-settings")  # noqa: PTH118
    shared = [str(place.data), jupyter_data_dir(), given.get("JUPYTER_PATH", "")]
    programs = [os.path.dirname(sys.executable), given.get("PATH", os.defpath)]  # noqa: PTH120
    return {
        **given,
        "PATH": os.pathsep.join(programs),  # `ava` works in the Lab's terminals
        "AVA_WORKSPACE": str(place.workspace),
        "JUPYTER_PATH": os.pathsep.join(path for path in shared if path),
        "JUPYTER_DATA_DIR": str(place.data),
        "JUPYTER_CONFIG_DIR": str(place.folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(place.folder / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(place.folder / "layout"),
        "JUPYTERLAB_SETTINGS_DIR": given.get("JUPYTERLAB_SETTINGS_DIR", settings),
    }
