"""The options of ``unisock connect``: who one is, TLS, a proxy, and what is asked for wrongly."""

import contextlib
import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from unisock.cli import main
from unisock.cli.connect import complete

APP = Path(__file__).with_name("connect_app.py")
PASSPHRASE = "open sesame"
HELLO = ("-x", "hello", "-x", "bye")
"""What is answered with hello, and then with a close."""


@pytest.mark.parametrize(
    ("short", "url"),
    [
        ("example.com", "ws://example.com"),
        ("example.com:81/a?b=c", "ws://example.com:81/a?b=c"),
        ("localhost:8000/ws", "ws://localhost:8000/ws"),
        (":8000/ws", "ws://localhost:8000/ws"),
        ("[::1]:8000", "ws://[::1]:8000"),
        ("wss://example.com/ws", "wss://example.com/ws"),
        ("https://example.com/ws", "https://example.com/ws"),
        ("ws+unix:/run/app.sock:/ws", "ws+unix:/run/app.sock:/ws"),
    ],
)
def test_a_url_may_be_short(short: str, url: str) -> None:
    assert complete(short) == url


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], "Write: unisock connect ws://127.0.0.1:8000/ws"),
        (["ftp://example.com"], "write it like ws://127.0.0.1:8000/ws"),
        ([":80/a b"], "write spaces and letters beyond ASCII as %XX"),
        ([":1", "more"], "arguments go with --emit NAME"),
        ([":1", "-H", "no colon"], "write it as NAME:VALUE"),
        ([":1", "-H", "Upgrade: h2c"], "Upgrade is made by the connector"),
        ([":1", "--auth", "ada"], "write it as USER:PASSWORD"),
        ([":1", "--auth", "a:b", "--token", "t"], "choose one"),
        ([":1", "--request"], "--request goes with --emit NAME"),
        ([":1", "--channel-auth", "1"], "--channel-auth goes with --channel NAME"),
        ([":1", "--emit", "x", "--codec", "raw"], "write --codec json or --codec msgpack"),
        ([":1", "--channel", "x", "--codec", "raw"], "write --codec json or --codec msgpack"),
        ([":1", "--proxy", "nonsense"], "write it like http://proxy:3128"),
        ([":1", "--ca", "missing.pem"], "missing.pem"),
        (["--listen", "0", "ws://example.com"], "a path such as /ws"),
        (["--listen", "0", "--proxy", "http://x"], "--proxy is for who connects"),
        (["--listen", "0", "-x", "hello"], "--execute is for who connects"),
        (["--listen", "70000"], "0<=x<=65535"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_hint(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["connect", *arguments])
    assert exit.value.code == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("who", [["--token", "token"], ["--auth", "ada:l:l"]])
def test_who_one_is(talk: Any, served: str, who: list[str]) -> None:
    assert talk(f"{served}/secret", *who, *HELLO).lines == ["hello"]


def test_a_refusal_says_what_to_try(talk: Any, served_on_each: str) -> None:
    served = served_on_each
    said = talk(f"{served}/secret", stdin="hello\n")
    assert (said.code, said.stdout) == (1, "")
    assert said.stderr == (
        "unisock: the server refuses with 401: members only; say who you are with "
        "--auth USER:PASSWORD or --token TOKEN\n"
    )
    said = talk(f"{served}/nothing", "--json")
    assert said.of("error")[0].startswith("the server refuses with 404")


def test_a_unix_socket(talk: Any, start: Any, tmp_path: Path) -> None:
    start("serve", APP, "--unix", "app.sock").says("listening on")
    assert talk("ws+unix:app.sock:/raw", *HELLO).lines == ["hello"]


class Files:
    """What `trustme` makes, as files: the server's, an authority, and a client's with an encrypted
    key.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca, self.server = folder / "ca.pem", folder / "server.pem"
        self.certificate, self.key = folder / "client.pem", folder / "client.key"
        authority.cert_pem.write_to_path(self.ca)
        authority.issue_cert("chat.example").private_key_and_cert_chain_pem.write_to_path(
            self.server
        )
        client = authority.issue_cert("ada@example.com")
        client.cert_chain_pems[0].write_to_path(self.certificate)
        key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(PASSPHRASE.encode()),
            )
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


class TestTls:
    """Against a server whose certificate is for another name, and which wants the client's."""

    @pytest.fixture
    def url(self, start: Any, files: Files) -> str:
        tls = {"certificate": files.server, "client_ca": files.ca}
        assignments = [f"--set=listen.tls.{name}={value}" for name, value in tls.items()]
        process = start("serve", APP, "--port", "0", *assignments)
        address: str = process.url()
        return address.replace("https", "wss") + "/raw"

    def test_it_needs_all_that_it_needs(self, talk: Any, url: str, files: Files) -> None:
        me = ["--cert", files.certificate, "--key", files.key, "--passphrase", PASSPHRASE]
        said = talk(url, "--ca", files.ca, "--host", "chat.example", *me, *HELLO)
        assert (said.code, said.lines) == (0, ["hello"])
        said = talk(url, "-n", *me, *HELLO)
        assert (said.code, said.lines) == (0, ["hello"])
        said = talk(url, "--ca", files.ca, *me, "-x", "hello")
        assert said.code == 1
        assert "certificate is not in order" in said.stderr
        assert "--host NAME is whom to expect" in said.stderr
        said = talk(url, "-x", "hello", *me)
        assert said.code == 1
        assert "--ca FILE trusts its authority" in said.stderr
        said = talk(url, "-n", "-x", "hello")
        assert (said.code, said.stdout) == (1, "")

    def test_no_tls_there(self, talk: Any, start: Any) -> None:
        url = start("serve", APP, "--port", "0").url()
        said = talk(url.replace("http", "wss") + "/raw", "-x", "hello")
        assert said.code == 1
        assert "is it wss:// and not ws://?" in said.stderr

    def test_a_wrong_passphrase_and_none(self, talk: Any, files: Files) -> None:
        me = ["--cert", files.certificate, "--key", files.key]
        said = talk("wss://127.0.0.1:1", *me, "--passphrase", "wrong", "-x", "hello")
        assert said.code == 2
        assert f"--cert {files.certificate}" in said.stderr
        said = talk("wss://127.0.0.1:1", *me, "-x", "hello")
        assert said.code == 2
        assert "the key needs a passphrase; write --passphrase TEXT" in said.stderr

    @pytest.mark.parametrize("asked", [["--passphrase"], []])
    def test_the_passphrase_is_asked_for(self, url: str, files: Files, asked: list[str]) -> None:
        ours, theirs = pty.openpty()
        command = [
            sys.executable,
            "-m",
            "unisock",
            "connect",
            url,
            "-n",
            "-x",
            "hello",
            "-x",
            "bye",
        ]
        me = ["--cert", str(files.certificate), "--key", str(files.key)]
        process = subprocess.Popen(
            [*command, *me, *asked],
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        os.close(theirs)
        with process:
            assert process.stdout is not None
            seen = b""
            while b"passphrase of the key" not in seen:
                seen += os.read(ours, 1000)
            os.write(ours, f"{PASSPHRASE}\n".encode())
            assert process.stdout.read() == "hello\n"
            assert process.wait(30) == 0
        os.close(ours)


class Proxy:
    """An HTTP proxy that knows CONNECT, for one client.

    :ivar asked: the first lines of the requests
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1000)
        self.asked.append(head.decode().partition("\r\n")[0])
        host, _, port = self.asked[0].split()[1].rpartition(":")
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
            back.start()
            self._pass(client, server)
            back.join(30)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the other side may be quicker to go
            while data := source.recv(1000):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()
        self._thread.join(30)


@pytest.fixture
def proxy() -> Generator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


def test_through_a_proxy(talk: Any, served: str, proxy: Proxy) -> None:
    said = talk(f"{served}/raw", "--proxy", proxy.url, *HELLO)
    assert (said.code, said.lines) == (0, ["hello"])
    assert proxy.asked == [f"CONNECT {served} HTTP/1.1"]


def test_the_options_have_headings() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "unisock", "connect", "--help"], capture_output=True, text=True
    )
    headings = [line for line in done.stdout.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == [
        "What the request says:",
        "The way there:",
        "What is sent:",
        "What is shown:",
        "Being the server:",
        "Other options:",
    ]
