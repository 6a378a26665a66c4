"""Start a Lab for a workspace, find the one that already serves it, and end it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import UsageError, WorkbenchError
from workbench.lab.place import Place
from workbench.runs import process
from workbench.runs.control import import_path
from workbench.runs.files import atomic_write_json, atomic_write_text, open_append, tail_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PORT: Final = 8888
_PORTS: Final = 50
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 20.0
_DOOR: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>Ava Workbench</title>
<meta http-equiv="refresh" content="0; url={url}">
<p>The course opens in JupyterLab: <a href="{url}">go there</a>.</p></html>
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """A JupyterLab that answers.

    Attributes:
        url: The address of the course's first page, with the token.
        token: What opens it.
        workspace: The folder it serves.
        pid: Its process.
    """

    url: str
    token: str
    workspace: str
    pid: int

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.split("/")[2].rpartition(":")[2])

    def to_dict(self) -> dict[str, Any]:
        """The Lab as JSON-ready data."""
        return asdict(self)


@dataclass(slots=True)
class Started:
    """A Lab that this process has started and has to end.

    Attributes:
        lab: The Lab.
        server: Its process; the end of its standard input ends it.
    """

    lab: Lab
    server: subprocess.Popen[bytes]

    def wait(self) -> int:
        """Wait until the server ends by itself; returns its exit code."""
        return self.server.wait()

    def stop(self) -> None:
        """End the server and its notebooks' kernels; trainings are nobody's children and go on."""
        try:
            _end(self.server)
        finally:
            Place(Path(self.lab.workspace)).info.unlink(missing_ok=True)


def find(place: Place) -> Lab | None:
    """The Lab that serves a workspace now; None when there is none, or it does not answer."""
    if process.is_locked(place.lock) is False:
        return None
    try:
        lab = Lab(**place.server())
        return lab if _answers(lab.port, lab.token) else None
    except (TypeError, ValueError, IndexError, AttributeError):  # damaged, or of another version
        return None


def start(place: Place, *, port: int | None = None, first: str = "START.ipynb") -> Lab | Started:
    """Start JupyterLab for a workspace, unless one is there already.

    Args:
        place: Where it keeps what is its own.
        port: Where to listen; None takes the first free one from 8888.
        first: The notebook on the first page.

    Returns:
        The Lab that was running, or the one started.

    Raises:
        UsageError: The port is taken.
        WorkbenchError: JupyterLab is not installed, or does not start.
        OSError: The workspace cannot be written.
    """
    if find_spec("jupyterlab") is None:
        raise WorkbenchError(
            "JupyterLab is not installed",
            where=sys.executable,
            fix="python -m pip install 'jupyterlab>=4.6,<4.7'\n"
            "or take the course in the terminal: ava-tui",
        )
    place.make()
    lock = process.try_lock(place.lock)
    if lock is None:
        return _other(place)
    try:
        place.info.unlink(missing_ok=True)
        place.write()
        chosen = _free_port(port)
        while True:
            try:
                return _started(place, chosen, first, lock)
            except WorkbenchError:
                if port is not None or not _was_taken(place, chosen):
                    raise
                chosen = _free_port(None, chosen + 1)
    finally:
        os.close(lock)  # the server holds it on


def _other(place: Place) -> Lab:
    """The Lab that holds the lock; it may be starting at this moment."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if lab := find(place):
            return lab
        if not process.is_locked(place.lock):
            break
        time.sleep(0.1)
    raise WorkbenchError(
        "another Lab holds this workspace and does not answer",
        where=str(place.workspace),
        fix=f"see what it says: tail {place.log}\nend it where it was started, and try again",
    )


def _started(place: Place, port: int, first: str, lock: int) -> Started:
    token = secrets.token_urlsafe(24)
    place.log.unlink(missing_ok=True)
    with open_append(place.log) as log:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "workbench.lab.server"],
            cwd=place.workspace,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": import_path()},
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C in the terminal is for us alone
        )
    try:
        assert server.stdin is not None
        asked = {"workspace": str(place.workspace), "port": port, "token": token, "lock": lock}
        with contextlib.suppress(BrokenPipeError):  # its log says why it is gone
            server.stdin.write(json.dumps(asked).encode() + b"\n")
            server.stdin.flush()
        _await(lambda: _answers(port, token), server, place)
        url = f"http://127.0.0.1:{port}/lab/tree/{first}?token={token}"
        lab = Lab(url, token, str(place.workspace), server.pid)
        atomic_write_text(place.door, _DOOR.format(url=url))
        atomic_write_json(place.info, lab.to_dict(), masked=False)
    except BaseException:
        _end(server)
        raise
    return Started(lab, server)


def _await(ready: Callable[[], bool], server: subprocess.Popen[bytes], place: Place) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if server.poll() is not None or time.monotonic() > deadline:
            late = "it does not answer" if server.poll() is None else "it ended at once"
            last = [line.decode(errors="replace") for line in tail_bytes(place.log)[-6:]]
            raise WorkbenchError(
                "JupyterLab does not start",
                where=str(place.log),
                why="\n".join([f"{late}; its last words:", *last]),
                fix="try again; python -m pip check says whether the installation is sound",
            )
        time.sleep(0.05)


def _answers(port: int, token: str) -> bool:
    """Whether a server that knows the token answers; asked directly, past any proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/status", headers={"Authorization": f"token {token}"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _was_taken(place: Place, port: int) -> bool:
    """Whether another server was faster, in the second between choosing a port and listening."""
    last = b"".join(tail_bytes(place.log)[-6:])
    return f"port {port} is".encode() in last.lower()


def _free_port(asked: int | None, first: int = FIRST_PORT) -> int:
    for port in [asked] if asked is not None else range(first, FIRST_PORT + _PORTS):
        if _is_free(port):
            return port
    taken = f"port {asked} is taken" if asked is not None else f"no port from {FIRST_PORT} is free"
    raise UsageError(
        taken, fix=f"choose another: --port {(asked or FIRST_PORT) + 1}, or leave --port away"
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise UsageError(
                f"port {port} is not for users", fix="choose one above 1023, or leave --port"
            ) from None
        except OSError:
            return False
        return True


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ask the server to end; whoever is interrupted while waiting makes it end."""
    assert server.stdin is not None
    with contextlib.suppress(OSError):
        server.stdin.close()
    try:
        server.wait(_STOP_SECONDS)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
