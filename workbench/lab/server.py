"""The process that serves: JupyterLab with our settings, for as long as its starter lives.

``python -P -m workbench.lab.server`` reads one line of JSON from standard input: workspace, port,
token and the lock that it is to hold. They come that way, because a command line can be read by
everybody on a machine and an environment is inherited. The end of that input ends the server,
however its starter has died.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

from workbench.lab.place import KERNEL, Place, environment


def options(place: Place, port: int, token: str) -> list[str]:
    """The server's options; they stand above every config file that Jupyter may find."""
    chosen = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.base_url": "/",
        "ServerApp.certfile": "",
        "ServerApp.keyfile": "",
        "ServerApp.allow_remote_access": False,
        "ServerApp.allow_root": True,  # in a container there is often no other user
        "ServerApp.open_browser": False,
        "ServerApp.root_dir": place.workspace,
        "IdentityProvider.token": token,
        "PasswordIdentityProvider.hashed_password": "",
        "PasswordIdentityProvider.allow_password_change": False,
        "MultiKernelManager.default_kernel_name": KERNEL,
        "KernelManager.shutdown_wait_time": 3,
        "LabApp.default_url": "/lab/tree/START.ipynb",
        "LabApp.app_settings_dir": place.settings,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.news_url": None,
        "LabApp.extension_manager": "readonly",
        # It asks node and npm what they have; servers that the learner has set up are used anyway.
        "LanguageServerManager.autodetect": False,
    }
    return [f"--{name}={value}" for name, value in chosen.items()]


def main() -> None:
    """Serve until standard input ends, or a signal comes."""
    asked = json.loads(_line())
    os.set_inheritable(int(asked["lock"]), False)  # kernels are not to hold it
    place = Place(Path(asked["workspace"]))
    os.environ.update(environment(place, dict(os.environ)))
    _keep_own_defaults(place)

    # Jupyter reads these variables when it is imported.
    from jupyterlab.labapp import LabApp

    threading.Thread(target=_end_with_starter, daemon=True).start()
    LabApp.launch_instance(argv=options(place, int(asked["port"]), str(asked["token"])))


def _line() -> bytes:
    """The first line of standard input, without Python's buffers: a thread waits there later."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def _end_with_starter() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _keep_own_defaults(place: Place) -> None:
    """Take over the defaults that this installation's administrator has given to JupyterLab."""
    import shutil

    from jupyterlab.commands import get_app_dir

    theirs = Path(get_app_dir()) / "settings"
    if theirs.is_dir():
        shutil.copytree(theirs, place.settings, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
