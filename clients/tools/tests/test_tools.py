# SPDX-License-Identifier: MIT
"""The tools as their users run them, against real routers: SAM and SAM2 in the environment name two bridges."""
from __future__ import annotations

import contextlib
import http.server
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Iterator
from pathlib import Path

HERE = os.environ.get("SAM", "")
THERE = os.environ.get("SAM2", HERE)
TOOLS = Path(__file__).resolve().parent.parent
LIMIT_S = 60


def command(tool: str, *words: object) -> list[str]:
    return [sys.executable, str(TOOLS / tool), *map(str, words)]


def environment(bridge: str) -> dict[str, str]:
    return {**os.environ, "SAM": bridge, "PYTHONWARNINGS": "error::ResourceWarning"}


def call(tool: str, *words: object, bridge: str = HERE, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs a tool to its end."""
    return subprocess.run(command(tool, *words), env=environment(bridge), input=data, capture_output=True,
                          timeout=LIMIT_S, check=False)


class Running:
    """A tool that serves."""

    def __init__(self, tool: str, *words: object, bridge: str = THERE, stdin: int = subprocess.DEVNULL) -> None:
        self.errors = tempfile.TemporaryFile()
        # Who runs these tests in the background may have Ctrl-C ignored, and children inherit that.
        self.process = subprocess.Popen(command(tool, *words), env=environment(bridge), stdin=stdin,
                                        stdout=subprocess.PIPE, stderr=self.errors, bufsize=0,
                                        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], LIMIT_S)[0]:
            raise TimeoutError(self.said())
        return self.process.stdout.readline().decode().rstrip("\n") or self.said()

    def wait_for(self, text: str) -> None:
        """Until it has said this on standard error."""
        deadline = time.monotonic() + LIMIT_S
        while text not in self.said():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(self.said())
            time.sleep(0.05)

    def said(self) -> str:
        return os.pread(self.errors.fileno(), 1 << 20, 0).decode()

    def stop(self, sign: int = signal.SIGINT) -> int:
        """Ctrl-C. Returns the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(20)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for file in (self.process.stdout, self.process.stdin, self.errors):
            if file:
                file.close()


@unittest.skipUnless(HERE, "no router: set SAM=host:port")
class Tools(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def running(self, tool: str, *words: object) -> Running:
        running = Running(tool, *words, "--hops", 1)
        self.addCleanup(running.__exit__)
        return running


class Help(unittest.TestCase):
    def test_every_tool_explains_itself(self) -> None:
        for tool in sorted(TOOLS.glob("sam-*.py")):
            done = call(tool.name, "--help")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(b"usage: " + tool.name.encode(), done.stdout)

    def test_no_router_is_one_line(self) -> None:
        done = call("sam-fetch.py", "x.i2p", bridge="127.0.0.1:9")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rb"^sam-fetch.py: no SAM bridge at 127.0.0.1:9 .*\n$")


class Readme(Tools):
    def test_the_example_of_the_readme_runs(self) -> None:
        script = re.findall(r"(?s)```sh\n(.*?)```", (TOOLS / "README.md").read_text())
        self.assertEqual(len(script), 1)
        done = subprocess.run(["bash", "-euc", script[0]], cwd=TOOLS.parent.parent, capture_output=True, text=True,
                              env={**os.environ, "SAM": HERE, "SAM2": THERE}, timeout=LIMIT_S, check=False)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1:]), (0, ["all good"]), done.stdout + done.stderr)


class Echo(Tools):
    def test_ping_has_answers(self) -> None:
        echo = self.running("sam-echo.py", "serve")
        done = call("sam-echo.py", "ping", echo.line(), "--hops", 1, "-c", 3, "-i", 0.1, "-s", 5000)
        self.assertIn(b"3 sent, 0 lost", done.stdout, done.stderr)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(echo.stop(), 130)
        self.assertEqual(echo.said(), "stopped\n")

    def test_datagrams(self) -> None:
        echo = self.running("sam-echo.py", "serve", "--datagrams")
        address = echo.line()
        done = call("sam-echo.py", "ping", address, "--hops", 1, "-c", 3, "-i", 0.1, "--datagrams", "--timeout", 5)
        self.assertRegex(done.stdout, rb"[1-3]: 64 bytes in")
        done = call("sam-echo.py", "ping", address, "--hops", 1, "-c", 1)
        self.assertIn(b"1 sent, 0 lost", done.stdout, done.stderr)
        self.assertEqual(echo.stop(), 130)

    def test_the_address_stays(self) -> None:
        keys = self.folder / "echo.keys"
        first = self.running("sam-echo.py", "serve", "--keys", keys)
        address = first.line()
        self.assertEqual(first.stop(signal.SIGTERM), 130)
        self.assertEqual(self.running("sam-echo.py", "serve", "--keys", keys).line(), address)


class Site(Tools):
    def setUp(self) -> None:
        super().setUp()
        self.site = self.folder / "site"
        (self.site / "sub").mkdir(parents=True)
        (self.site / "index.html").write_text("<h1>welcome</h1>")
        (self.site / "big.bin").write_bytes(random.Random(1).randbytes(700_000))
        (self.site / "sub" / "a b&c.txt").write_text("odd name")
        (self.site / ".secret").write_text("hidden")
        (self.folder / "outside.txt").write_text("outside")
        (self.site / "leak.txt").symlink_to(self.folder / "outside.txt")
        os.mkfifo(self.site / "pipe")
        self.served = self.running("sam-serve.py", self.site)
        self.url = self.served.line()
        self.assertRegex(self.url, r"^http://[a-z2-7]{52}\.b32\.i2p/$")

    def fetch(self, path: str, *words: object) -> subprocess.CompletedProcess[bytes]:
        return call("sam-fetch.py", "--hops", 1, self.url + path, *words)

    def test_a_site_is_published_and_fetched(self) -> None:
        self.assertEqual(self.fetch("").stdout, b"<h1>welcome</h1>")
        done = self.fetch("big.bin", "-o", self.folder)
        self.assertEqual((self.folder / "big.bin").read_bytes(), (self.site / "big.bin").read_bytes())
        self.assertRegex(done.stderr, rb"^700000 bytes in ")
        done = self.fetch("sub", "-i")          # a redirection, then a list
        self.assertIn(b"301, goes on at", done.stderr)
        self.assertIn(b'<a href=\'./a%20b%26c.txt\'>a b&amp;c.txt</a> 8 bytes', done.stdout)
        self.assertEqual(self.fetch("sub/a%20b%26c.txt").stdout, b"odd name")
        self.assertEqual(self.fetch("sub/a b&c.txt").stdout, b"odd name")
        part = self.fetch("big.bin", "-H", "Range: bytes=10-19", "-i")
        self.assertIn(b"content-range: bytes 10-19/700000\n", part.stdout)
        self.assertTrue(part.stdout.endswith((self.site / "big.bin").read_bytes()[10:20]))
        head = self.fetch("big.bin", "-I")
        self.assertIn(b"200 OK\ncontent-type: application/octet-stream", head.stdout)
        self.assertIn(b"content-length: 700000\n", head.stdout)
        self.assertNotRegex(head.stdout.lower(), rb"\n(date|server|last-modified):")

    def test_nothing_outside_is_given_out(self) -> None:
        for path in (".secret", "leak.txt", "pipe", "%2e%2e/outside.txt", "..%2foutside.txt", "sub/..%5c..", "x%00y",
                     "%ff", "index.html/", "none"):
            done = self.fetch(path)
            self.assertEqual((done.returncode, done.stdout), (22, b"404 Not Found\n"), path)
        self.assertNotIn(b"leak", self.fetch("?").stdout)
        self.assertEqual(self.served.stop(), 130)
        self.assertNotIn("Traceback", self.served.said())


class Forwarding(Tools):
    @contextlib.contextmanager
    def shouting(self) -> Iterator[int]:
        """A TCP server that answers a line in capitals and hangs up when the peer has ended."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = server.accept()
                        with connection, connection.makefile("rwb") as file:
                            for line in file:
                                file.write(line.upper())
                                file.flush()
            threading.Thread(target=serve, daemon=True).start()
            yield server.getsockname()[1]
            server.shutdown(socket.SHUT_RDWR)

    def through(self, *words: object) -> None:
        with self.shouting() as port:
            exposed = self.running("sam-forward.py", "expose", port, *words)
            address = exposed.line()
            reach = ("sam-forward.py", "reach", "--hops", 1, f"0={address}", f"0={address}:25")
            with Running(*reach, bridge=HERE) as reached:
                ports = [int(re.findall(r":(\d+) leads to", reached.line())[0]) for _ in range(2)]
                reached.wait_for("ready")
                for local in ports:
                    with socket.create_connection(("127.0.0.1", local), LIMIT_S) as client:
                        client.settimeout(LIMIT_S)
                        file = client.makefile("rwb")
                        file.write(b"hello there\n")
                        file.flush()
                        self.assertEqual(file.readline(), b"HELLO THERE\n", reached.said() + exposed.said())
                        client.shutdown(socket.SHUT_WR)
                        self.assertEqual(file.read(), b"")
                self.assertEqual((reached.stop(), exposed.stop()), (130, 130))
                self.assertNotIn("Traceback", exposed.said() + reached.said())

    def test_a_port_is_exposed_and_reached(self) -> None:
        self.through()

    def test_the_router_may_connect_itself(self) -> None:
        self.through("--by-router")

    def test_nobody_there(self) -> None:
        with Running("sam-forward.py", "reach", "--hops", 1, "0=nosuchname.i2p", bridge=HERE) as reached:
            port = int(re.findall(r":(\d+) leads to", reached.line())[0])
            reached.wait_for("ready")
            with socket.create_connection(("127.0.0.1", port), LIMIT_S) as client:
                self.assertEqual(client.recv(10), b"")
            reached.wait_for("nosuchname.i2p: connect to nosuchname.i2p: INVALID_KEY")


class Chat(Tools):
    def test_two_people_talk(self) -> None:
        with Running("sam-chat.py", "--hops", 1, "--once", stdin=subprocess.PIPE) as waiting:
            address = waiting.line()
            assert waiting.process.stdin is not None
            waiting.process.stdin.write("grüß dich\n\x1b[31mred\n".encode())
            waiting.process.stdin.close()
            done = call("sam-chat.py", "--hops", 1, address, data=b"hello\nand bye")
            self.assertEqual(done.stdout.decode(), "> grüß dich\n> ?[31mred\n")
            self.assertEqual((waiting.line(), waiting.line()), ("> hello", "> and bye"))
            self.assertEqual(waiting.process.wait(LIMIT_S), 0)


class Fetch(Tools):
    """Against a server of another make, with its chunks and redirections."""

    def test_chunks_and_redirections(self) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/":
                    self.send_response(302)
                    self.send_header("Location", "/chunked?x=1")
                elif self.path == "/away":
                    self.send_response(301)
                    self.send_header("Location", "https://example.com/")
                else:
                    self.send_response(200)
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    cut = b"" if self.path == "/cut" else b"0\r\n\r\n"
                    self.wfile.write(b"5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n" + cut)
                    self.close_connection = True
                    return
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            exposed = self.running("sam-forward.py", "expose", server.server_port)
            address = exposed.line()
            done = call("sam-fetch.py", "--hops", 1, address)
            self.assertEqual(done.stdout, b"hello world", done.stderr)
            done = call("sam-fetch.py", "--hops", 1, f"{address}/cut", "-o", self.folder / "cut")
            self.assertIn(b"cut off", done.stderr)
            self.assertFalse((self.folder / "cut").exists())
            done = call("sam-fetch.py", "--hops", 1, f"{address}/away")
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"not the http:// address of an I2P site: 'https://example.com/'", done.stderr)
            server.shutdown()


if __name__ == "__main__":
    unittest.main()
