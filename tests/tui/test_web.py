"""ava-tui --web: it serves this machine and nobody else."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.tui.terminal import AVA_TUI, _environment
from tests.tui.tmux import wait
from workbench.errors import UsageError, WorkbenchError
from workbench.tui import _parse, main, web


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((web.HOST, 0))
        return int(probe.getsockname()[1])


def ask(port: int, path: str = "/", **headers: str) -> tuple[int, str, dict[str, str]]:
    with contextlib.closing(http.client.HTTPConnection(web.HOST, port, timeout=30)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace"), dict(answer.getheaders())


def test_it_serves_a_page_to_this_machine_alone(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [*AVA_TUI, "--web", str(port)],
        cwd=tmp_path,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port}/" in line
        status, page, headers = ask(port)
        assert status == 200
        assert "Ava Workbench" in page
        assert "connect-src 'self'" in headers["Content-Security-Policy"]
        scripts = re.findall(r'src="([^"]+)"', page)
        assert scripts
        assert all(each.startswith(f"http://127.0.0.1:{port}/") for each in scripts)
        assert ask(port, Host="evil.example")[0] == 403
        assert ask(port, "/ws", Origin="http://evil.example")[0] == 403
        listening = Path("/proc/net/tcp").read_text()
        assert f"0100007F:{port:04X} " in listening
        assert f"00000000:{port:04X} " not in listening
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        process.stdout.close()
    wait(lambda: not _answers(port), lambda: "the end of the server")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((web.HOST, port)) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "example.org"])  # noqa: S104
def test_another_host_is_refused(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--web", "--host", host]) == 2
    said = capsys.readouterr().err
    assert "this machine alone" in said
    assert "ssh -L" in said


def test_a_port_that_is_none_or_taken_is_said() -> None:
    with pytest.raises(UsageError, match="no port"):
        web._free_port("0")
    with socket.socket() as taken:
        taken.bind((web.HOST, 0))
        taken.listen()
        with pytest.raises(WorkbenchError, match="cannot be used"):
            web._free_port(str(taken.getsockname()[1]))


def test_options() -> None:
    assert _parse(["--web"]) == ({}, {"--web"})
    assert _parse(["--web=81", "--lesson", "1"]) == ({"--port": "81", "--lesson": "1"}, {"--web"})
    assert _parse(["--web", "81"])[0] == {"--port": "81"}
    assert _parse(["--runs-dir=x", "--workspace", "w"])[0] == {
        "--runs_dir": "x",
        "--workspace": "w",
    }
    for wrong in (["--lesson"], ["--port", "3"], ["--lessen", "1"]):
        with pytest.raises(UsageError):
            _parse(wrong)
