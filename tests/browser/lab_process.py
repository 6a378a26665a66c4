"""A real JupyterLab, started as a learner starts it: `ava lab`, in a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]


def hermetic(home: Path) -> dict[str, str]:
    """An environment in which nothing of this user's Jupyter is seen, and nothing is changed.

    Args:
        home: The home of the learner; made when missing.
    """
    config = home / "jupyter-config"
    config.mkdir(parents=True, exist_ok=True)
    # With it a page has `window.jupyterapp`, through which tests call JupyterLab's commands.
    (config / "jupyter_server_config.json").write_text('{"LabApp":{"expose_app_in_browser":true}}')
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "AVA_", "XDG_", "IPYTHON")) and name != "BROWSER"
    }
    return {
        **kept,
        "HOME": str(home),
        "JUPYTER_CONFIG_PATH": str(config),
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}",
    }


@dataclass
class LabProcess:
    """`ava lab` while it serves; use as a context manager.

    Attributes:
        process: The command.
        url: Address of the first page.
        token: What opens it.
        workspace: The learner's folder.
        pid: The server.
        home: The learner's home.
    """

    process: subprocess.Popen[str]
    url: str
    token: str
    workspace: Path
    pid: int
    home: Path

    @classmethod
    def start(cls, workspace: Path, home: Path, *options: str) -> Self:
        """Start it and wait until it has printed its address."""
        narration = home / "ava-lab.err"
        env = hermetic(home)
        with narration.open("w") as err:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "workbench.cli", "lab", str(workspace)),
                    *("--no-browser", "--json", *options),
                ],
                cwd=home,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if line == "}\n":
                break
        else:
            raise AssertionError(f"ava lab ended ({process.wait()}):\n{narration.read_text()}")
        said = json.loads(text)
        return cls(process, said["url"], said["token"], Path(said["workspace"]), said["pid"], home)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return "/".join(self.url.split("/")[:3])

    def said(self) -> str:
        """What the command has told its user."""
        return (self.home / "ava-lab.err").read_text()

    def stop(self) -> int:
        """Press Ctrl-C; returns the exit code."""
        if self.process.poll() is None:
            # Whoever runs tests with `nohup … &` has told every child to pass over Ctrl-C.
            deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            self.process.send_signal(signal.SIGTERM if deaf else signal.SIGINT)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
