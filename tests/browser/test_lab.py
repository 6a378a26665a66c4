"""`ava lab` with the real JupyterLab, without a browser."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.lab_process import LabProcess, hermetic
from tests.conftest import MINI
from workbench.cli import lab as command
from workbench.errors import UsageError, WorkbenchError
from workbench.lab.place import Place, kernel_spec
from workbench.lab.running import start
from workbench.lessons import course
from workbench.runs import process
from workbench.runs.control import wait_for_end
from workbench.runs.directory import open_run


def ask(lab: LabProcess, path: str, token: str | None = None) -> Any:
    """What the server answers to a request with the token, or with another one."""
    request = urllib.request.Request(  # noqa: S310 - the address is our own
        f"{lab.origin}/{path}", headers={"Authorization": f"token {token or lab.token}"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return json.load(answer)


def wait(true: Callable[[], bool], what: str, deadline: float = 60) -> None:
    end = time.monotonic() + deadline
    while not true():
        assert time.monotonic() < end, f"never saw {what}"
        time.sleep(0.05)


def ava_lab(lab: LabProcess, *words: str) -> subprocess.CompletedProcess[str]:
    """A second `ava lab` of the same learner."""
    return subprocess.run(
        [sys.executable, "-m", "workbench.cli", "lab", *words, "--no-browser"],
        env=hermetic(lab.home),
        cwd=lab.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def listening(port: int) -> set[str]:
    """The local addresses, in hex as in /proc/net/tcp, on which somebody listens at a port."""
    rows = [
        line.split()[1:4]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(table).exists()
        for line in Path(table).read_text().splitlines()[1:]
    ]
    return {
        address.rpartition(":")[0]
        for address, _, state in rows
        if state == "0A" and int(address.rpartition(":")[2], 16) == port
    }


def test_a_lab_serves_the_course_to_its_learner_alone(tmp_path: Path) -> None:
    jupyter = tmp_path / ".config" / "jupyter"
    (jupyter / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension").mkdir(parents=True)
    theme = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"
    (jupyter / "lab" / "user-settings" / theme).write_text('{"theme": "JupyterLab Dark"}')
    (jupyter / "jupyter_server_config.json").write_text(
        '{"ServerApp": {"ip": "0.0.0.0", "base_url": "/x"}, "IdentityProvider": {"token": ""}}'
    )
    own_kernel = tmp_path / ".local" / "share" / "jupyter" / "kernels" / "mine" / "kernel.json"
    own_kernel.parent.mkdir(parents=True)
    own_kernel.write_text('{"argv": ["true"], "display_name": "Mine", "language": "sh"}')
    before = files(tmp_path / ".config") | files(tmp_path / ".local")

    with LabProcess.start(tmp_path / "my lessons", tmp_path) as lab:
        names = {path.name for path in lab.workspace.glob("*.ipynb")}
        assert names == {"START.ipynb", *(lesson.notebook_name for lesson in course())}
        assert lab.url == f"{lab.origin}/lab/tree/START.ipynb?token={lab.token}"
        port = int(lab.origin.rpartition(":")[2])
        assert listening(port) == {"0100007F"}, "127.0.0.1 only, whatever a config file says"
        assert len(lab.token) >= 24
        with pytest.raises(urllib.error.HTTPError, match="403"):
            ask(lab, "api/contents", token="guessed")

        specs = ask(lab, "api/kernelspecs")
        assert specs["default"] == "ava-workbench"
        assert specs["kernelspecs"]["ava-workbench"]["spec"]["argv"][0] == sys.executable
        assert specs["kernelspecs"]["ava-workbench"]["spec"]["env"] == {
            "AVA_WORKSPACE": str(lab.workspace)
        }
        assert {"mine", "python3"} <= specs["kernelspecs"].keys(), "the learner's stay in sight"
        assert ask(lab, "api/terminals") == []
        settings = "lab/api/settings/@jupyterlab/apputils-extension"
        assert ask(lab, f"{settings}:themes")["settings"] == {"theme": "JupyterLab Dark"}
        news = ask(lab, f"{settings}:notification")["schema"]["properties"]
        assert news["fetchNews"]["default"] == "false"
        assert news["checkForUpdates"]["default"] is False

        everyone_reads = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
        assert not any(lab.token.encode() in line for line in everyone_reads)
        assert (Place(lab.workspace).folder.stat().st_mode & 0o077) == 0

        second = ava_lab(lab, str(lab.workspace))
        assert second.returncode == 0
        assert "running for this workspace already" in second.stderr
        assert lab.url in second.stdout

        taken = ava_lab(lab, str(tmp_path / "other"), "--port", str(port))
        assert taken.returncode == 2
        assert f"port {port} is taken" in taken.stderr

        assert lab.stop() == 0
    assert "ending JupyterLab" in lab.said()
    assert process.identify(lab.pid) is None
    assert files(tmp_path / ".config") | files(tmp_path / ".local") == before


def test_without_jupyterlab_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.lab.running.find_spec", lambda _name: None)
    with pytest.raises(WorkbenchError, match="JupyterLab is not installed") as caught:
        start(Place(tmp_path))
    assert "ava-tui" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port"], "--port needs a number"),
        (["--port", "http"], "--port needs a number"),
        (["--port=70000"], "--port needs a number"),
        (["--ports", "1"], "no option '--ports'"),
        (["a", "b"], "one folder at a time"),
    ],
)
def test_wrong_words_are_said_before_anything_is_made(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        command.run("lab", words)


def test_a_port_that_is_taken_is_passed_over(tmp_path: Path) -> None:
    from workbench.lab import running

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {taken} is taken"):
            running._free_port(taken)
    assert running._free_port(None) >= running.FIRST_PORT


def test_only_what_opens_a_window_counts_as_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.lab import browser

    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    assert importlib.util.find_spec("webbrowser") is not None
    if sys.platform == "linux":
        assert not browser.has_screen()
    assert browser.tunnel(8888) is None
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    assert "-L 8888:127.0.0.1:8888" in str(browser.tunnel(8888))


@pytest.mark.slow
def test_the_kernel_is_not_stopped_by_a_file_of_the_learner(tmp_path: Path) -> None:
    """A ``random.py`` beside the notebook hides nothing, and a module of their own is found."""
    from jupyter_client.manager import KernelManager

    for name in ("random", "numpy", "workbench", "tokenize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hidden')\n")
    (tmp_path / "helpers.py").write_text("answer = 42\n")
    manager = KernelManager(transport="ipc", ip=str(tmp_path / "ipc"))
    spec = kernel_spec(tmp_path)
    manager._kernel_spec = manager.kernel_spec_manager.kernel_spec_class(**spec)
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        code = "import os, random, numpy, helpers, workbench.plan; print(helpers.answer)"
        said: list[str] = []
        client.execute_interactive(
            code + "; print(os.environ['AVA_WORKSPACE'])",
            timeout=60,
            output_hook=lambda message: said.append(str(message["content"])),
        )
        assert f"42\\n{tmp_path}" in "".join(said)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.mark.slow
def test_a_training_goes_on_when_the_lab_ends(tmp_path: Path) -> None:
    with LabProcess.start(tmp_path / "ws", tmp_path) as lab:
        options = [word for key, value in MINI.items() for word in (f"--{key}", value)]
        launched = subprocess.run(
            [
                *(sys.executable, "-m", "workbench.cli", "launch", "lesson", "--name", "long"),
                *(*options, "--max_steps", "100000", "--evaluation.eval_steps", "100000"),
            ],
            cwd=lab.workspace,
            env=hermetic(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert launched.returncode == 0, launched.stderr
        assert lab.stop() == 0
    assert "still training: long" in lab.said()
    assert "ava runs stop long" in lab.said()
    run = open_run(lab.workspace / "runs", "long")
    from workbench.runs.control import stop
    from workbench.runs.status import is_alive

    assert is_alive(run)
    stop(run, now=True)
    assert not wait_for_end(run, timeout=60).alive


@pytest.mark.slow
def test_a_lab_does_not_outlive_its_command(tmp_path: Path) -> None:
    with LabProcess.start(tmp_path / "ws", tmp_path) as lab:
        os.kill(lab.process.pid, signal.SIGKILL)
        wait(lambda: process.identify(lab.pid) is None, "the end of the server")
    with LabProcess.start(tmp_path / "ws", tmp_path) as again:
        assert again.pid != lab.pid
        assert again.token != lab.token
        os.kill(again.pid, signal.SIGTERM)
        again.process.wait(60)
    assert "JupyterLab has ended" in again.said()
