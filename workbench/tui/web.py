"""`ava-tui --web`: the same program in a browser on this machine, through textual-serve.

Whoever reaches the page can start programs as this user. So it listens on the loopback address
alone, and answers only requests that name it: a web page elsewhere that has its own name resolve to
127.0.0.1, or opens a WebSocket from the user's browser, is refused (CWE-350, CWE-1385).
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError, WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

HOST = "127.0.0.1"
_PORT = 8765
_LOCAL = (HOST, "localhost", "::1")


def serve(values: dict[str, str], flags: list[str]) -> int:
    """Serve until ctrl-c; returns the exit code.

    Args:
        values: Options of `ava-tui` with their values; ``--port`` and ``--host`` are ours.
        flags: Options of `ava-tui` without a value.

    Raises:
        WorkbenchError: The host is another machine's to reach, or the port is none or taken.
    """
    host = values.pop("--host", HOST)
    if host not in _LOCAL:
        raise UsageError(
            f"ava-tui --web listens on this machine alone, not on {host}",
            why="whoever reaches the page can start programs as you",
            fix=f"from another machine, over ssh: ssh -L {_PORT}:{HOST}:{_PORT} THIS_MACHINE",
        )
    port = _free_port(values.pop("--port", str(_PORT)))
    options = [word for name, value in values.items() for word in (name, value)]
    command = shlex.join([sys.executable, "-m", "workbench.tui", *options, *flags])
    asyncio.run(_serve(command, port))
    return 0


def _free_port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise UsageError(f"{text} is no port", fix="a number from 1024 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except OSError as error:
            raise WorkbenchError(
                f"the port {text} cannot be used", why=error.strerror, fix="ava-tui --web PORT"
            ) from None
    return int(text)


async def _serve(command: str, port: int) -> None:
    from aiohttp import web

    runner = web.AppRunner(await application(command, port))
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    sys.stdout.write(f"ava-tui at http://{HOST}:{port}/   ctrl-c ends it; runs go on\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    await runner.cleanup()


async def application(command: str, port: int) -> web.Application:
    """The server of textual-serve, behind a door that lets only this machine's pages in."""
    from aiohttp import web
    from textual_serve.server import Server

    for name in ("COLUMNS", "LINES"):  # the browser says the size
        os.environ.pop(name, None)
    address = f"http://{HOST}:{port}"
    server = Server(command, host=HOST, port=port, title="Ava Workbench", public_url=address)
    inner: web.Application = await server._make_app()  # noqa: SLF001 - `serve` would choose the host
    inner.on_startup.clear()  # it prints a banner
    names = {f"{name}:{port}" for name in (HOST, "localhost")}
    # The page of textual-serve asks Google for a font; nothing is to leave this machine.
    policy = (
        "default-src 'self' 'unsafe-inline' data:; frame-ancestors 'none'; "
        f"connect-src 'self' ws://{HOST}:{port}"
    )
    origins = {f"http://{name}" for name in names}

    @web.middleware
    async def door(
        request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]
    ) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if request.host not in names or (origin is not None and origin not in origins):
            raise web.HTTPForbidden(text="this page is for this machine alone")
        response: web.StreamResponse = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = policy
        return response

    inner.middlewares.append(door)
    return inner
