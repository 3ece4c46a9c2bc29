"""``unisock connect`` in a pipe, as a process, to servers of ours."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

APP = Path(__file__).with_name("connect_app.py")


def test_lines_are_messages_both_ways(talk: Any, served_on_each: str) -> None:
    said = talk(f"{served_on_each}/raw", stdin="hello\n\n/ping\r\nwörld\nbinary\nbye")
    assert said.code == 0
    assert said.lines == ["hello", "", "/ping", "wörld", bytes(range(40)).hex()]
    assert re.search(r"^unisock: connected to ws://127.0.0.1:\d+/raw in ", said.stderr, re.M)
    assert "closed by the server: 1000 so long" in said.stderr


def test_it_waits_for_answers_after_the_last_line(talk: Any, served: str) -> None:
    said = talk(f"{served}/raw", stdin="one\ntwo\n")
    assert (said.code, said.lines) == (0, ["one", "two"])


def test_every_line_of_many_is_sent_before_it_leaves(talk: Any, served_on_each: str) -> None:
    text = "".join(f"{number} {'x' * 1000}\n" for number in range(5000))
    said = talk(f"{served_on_each}/raw", stdin=text + "bye\n")
    assert said.code == 0
    assert said.stdout == text


def test_execute_sends_and_leaves(talk: Any, served: str) -> None:
    said = talk(f"{served}/raw", "-x", "one", "-x", "two", stdin="not this\n")
    assert (said.code, said.lines) == (0, ["one", "two"])


def test_json_is_a_line_for_each_thing_that_happens(talk: Any, served_on_each: str) -> None:
    said = talk(f"{served_on_each}/raw", "--json", "-x", "hi", "-x", "binary", "-x", "bye")
    assert said.code == 0
    assert [record["type"] for record in said.records] == [
        *["state", "state", "message", "message", "state", "close"]
    ]
    assert said.of("state") == ["connecting", "open", "closed"]
    assert said.of("close") == [{"code": 1000, "reason": "so long", "by": "peer"}]
    text, binary = (record for record in said.records if record["type"] == "message")
    assert text["data"] == "hi"
    assert (binary["encoding"], binary["data"][:8]) == ("base64", "AAECAwQF")
    times = [record["time"] for record in said.records]
    assert times == sorted(times)
    assert said.stderr == ""


def test_slash_commands_in_a_pipe(talk: Any, served: str) -> None:
    lines = ["/hex 00 ff", "/nope", "//help", "/ping knock", "/help", "bye"]
    said = talk(f"{served}/raw", "--slash", stdin="\n".join(lines))
    assert said.lines == ["00ff", "/help"]
    assert "there is no command /nope; type /help, or //nope to send /nope" in said.stderr
    assert "/close [CODE [REASON]]  close the connection" in said.stderr
    assert "< pong knock" in said.stderr
    assert said.code == 1


def test_close_says_how_to_the_server(talk: Any, served_on_each: str) -> None:
    said = talk(
        f"{served_on_each}/raw", "--slash", "-w", "30", stdin="/close 4001 that is enough\n"
    )
    assert said.code == 0
    assert "closed: 4001 that is enough" in said.stderr


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("/hex 0g", "write /hex 00 ff …"),
        ("/close abc", "'abc' is no close code; write /close [CODE [REASON]]"),
        ("/close 1006", "close code 1006 cannot be sent"),
        ("/emit", "an event has a name; write /emit NAME [ARG …]"),
        ("/emit x", "--codec json or msgpack"),
        ("/ping " + "x" * 126, "a ping carries at most 125 bytes, not 126"),
    ],
)
def test_a_wrong_command_says_how_to_write_it(
    talk: Any, served: str, line: str, complaint: str
) -> None:
    said = talk(f"{served}/raw", "--slash", stdin=f"{line}\nstill here\nbye\n")
    assert complaint in said.stderr
    assert said.lines == ["still here"]
    assert said.code == 1


def test_pings_and_pongs_are_shown_both_ways_with_their_latency(
    talk: Any, served_on_each: str
) -> None:
    said = talk(
        f"{served_on_each}/raw", "-P", "--json", "--slash", "-x", "/ping knock", "-x", "bye"
    )
    pings = [r for r in said.records if r["type"] == "ping" and r["data"] == "knock"]
    pongs = [r for r in said.records if r["type"] == "pong" and r["data"] == "knock"]
    assert [(ping["sent"], "latency" in ping) for ping in pings] == [(True, False)]
    assert [pong["sent"] for pong in pongs] == [False]
    assert 0 < pongs[0]["latency"] < 30
    plain = talk(f"{served_on_each}/raw", "-P", "--slash", stdin="/ping knock\n/pong\nbye\n")
    assert "> ping knock" in plain.stderr
    assert re.search(r"< pong knock \(\d+\.\d ms\)", plain.stderr)
    assert "> pong\n" in plain.stderr
    assert plain.stdout == ""


def test_values_are_typed_and_shown_as_json(talk: Any, served: str) -> None:
    said = talk(f"{served}/values", "--codec", "json", stdin='{"a": 1}\n"1"\n1\nnot json\nbye\n')
    assert said.lines == [f'{{"you":{text}}}' for text in ('{"a":1}', '"1"', "1", '"not json"')]
    said = talk(f"{served}/packed", "--codec", "msgpack", "-x", "[1, null]", "-x", "bye")
    assert said.lines == ['{"you":[1,null]}']


def test_an_event_and_its_answer(talk: Any, served_on_each: str) -> None:
    said = talk(f"{served_on_each}/values", "--emit", "rename", "Ada", "--request")
    assert (said.code, said.lines) == (0, ['renamed "Ada"', '"hello, Ada"'])
    assert re.search(r"answered in \d+\.\d ms", said.stderr)
    said = talk(
        f"{served_on_each}/packed", "--codec=msgpack", "--emit=rename", "Ada", "--request", "--json"
    )
    assert said.of("event") == [{"name": "renamed", "args": ["Ada"]}]
    assert said.of("answer") == ["hello, Ada"]


def test_an_event_without_an_answer(talk: Any, served: str) -> None:
    said = talk(f"{served}/values", "--emit", "rename", "Ada")
    assert (said.code, said.lines) == (0, ['renamed "Ada"'])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["rename", ""], "'rename' failed: too-short: a name has a letter"),
        (["rename", "5"], "'rename' failed: invalid-arguments: argument 1: Expected `str`"),
        (["nothing"], "'nothing' failed: unknown-event"),
        (["silence", "--timeout", "0.5"], "no answer to 'silence' within 0.5 s"),
    ],
)
def test_an_event_that_fails_is_exit_code_1(
    talk: Any, served: str, arguments: list[str], complaint: str
) -> None:
    said = talk(f"{served}/values", "--request", "--emit", *arguments)
    assert said.code == 1
    assert complaint in said.stderr
    assert said.stdout == ""


def test_events_are_commands_too(talk: Any, served: str) -> None:
    lines = '/emit rename "Ada Lovelace"\nbye\n'
    said = talk(f"{served}/values", "--codec", "json", "--slash", stdin=lines)
    assert (said.code, said.lines) == (0, ['renamed "Ada Lovelace"'])


def test_a_channel(talk: Any, served: str) -> None:
    auth = ["--channel-auth", '{"say": "please"}']
    said = talk(f"{served}/values", "--channel", "news", *auth, "--json", "-x", "5")
    assert said.code == 0
    (message,) = (record for record in said.records if record["type"] == "message")
    assert (message["channel"], message["data"]) == ("news", ["news", 5])
    said = talk(f"{served}/values", "--channel", "news", *auth, stdin="5\n")
    assert (said.code, said.lines) == (0, ['["news",5]'])


def test_a_channel_that_lets_nobody_in(talk: Any, served: str) -> None:
    said = talk(f"{served}/values", "--channel", "news", "-w", "30", stdin="5\n")
    assert said.code == 1
    assert "the channel news is over: 4500 say please" in said.stderr


@pytest.mark.parametrize(
    ("word", "code", "told"),
    [
        ("bye", 0, "closed by the server: 1000 so long"),
        ("ban", 1, "closed by the server for good: 4500 go away"),
        ("away", 1, "closed by the server: 1012 restarting"),
    ],
)
def test_how_the_server_closes_decides_the_exit_code(
    talk: Any, served_on_each: str, word: str, code: int, told: str
) -> None:
    said = talk(f"{served_on_each}/raw", "-w", "30", "-x", word)
    assert said.code == code
    assert told in said.stderr


def test_it_comes_back_by_itself(talk: Any, served: str) -> None:
    said = talk(f"{served}/raw", "--json", "-w", "3", stdin="away\n")
    states = said.of("state")
    assert states[:5] == ["connecting", "open", "waiting", "connecting", "open"]
    assert said.code == 0


def test_unless_it_is_told_not_to(talk: Any, served: str) -> None:
    said = talk(f"{served}/raw", "--json", "--no-reconnect", "-w", "30", stdin="away\n")
    assert said.of("state") == ["connecting", "open", "closed"]
    assert said.code == 1


def test_who_is_not_there_at_the_end_could_not_send_all(talk: Any, start: Any) -> None:
    process = start("serve", APP, "--port", "0")
    url = process.url().removeprefix("http://")
    with subprocess.Popen(
        [sys.executable, "-m", "unisock", "connect", f"{url}/raw", "-w", "0.1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stderr is not None
        client.stdin.write("hello\n")
        client.stdin.flush()
        assert client.stdout.readline() == "hello\n"
        process.stop(signal.SIGKILL)
        heard = [client.stderr.readline(), client.stderr.readline()]
        assert "connection lost" in heard[1]
        assert "trying again in" in heard[1]
        client.stdin.write("too late\n")
        _, rest = client.communicate(timeout=30)
    assert client.returncode == 1
    assert "not connected at the end" in rest
    assert "1 message could not be sent" in rest


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_an_interrupt_closes_in_good_order(start: Any, tmp_path: Path, number: int) -> None:
    log = tmp_path / "app.py"
    log.write_text(
        "from unisock import Server\nserver = Server()\n"
        "@server.on_close\ndef on_close(spark, close):\n"
        "    import sys; print('gone', close.code, close.origin.value, file=sys.stderr)\n"
    )
    process = start("serve", log, "--port", "0")
    url = process.url().removeprefix("http://")
    reader, writer = os.pipe()  # a standard input that does not end
    try:
        client = subprocess.Popen(
            [sys.executable, "-m", "unisock", "connect", f"{url}/ws"],
            stdin=reader,
            stderr=subprocess.PIPE,
            text=True,
        )
        with client:
            assert client.stderr is not None
            assert "connected" in client.stderr.readline()
            client.send_signal(number)
            assert client.wait(30) == 130
            assert "Traceback" not in client.stderr.read()
    finally:
        os.close(reader)
        os.close(writer)
    process.says("gone 1000 peer")


def test_it_ends_though_standard_input_does_not(served: str) -> None:
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "unisock", "connect", f"{served}/raw", "-x", "bye"],
            stdin=reader,
            capture_output=True,
            text=True,
            timeout=30,
        )
        os.write(writer, b"bye\n")
        again = subprocess.run(
            [sys.executable, "-m", "unisock", "connect", f"{served}/raw"],
            stdin=reader,
            capture_output=True,
            text=True,
            timeout=30,
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert (done.returncode, again.returncode) == (0, 0)
    assert done.stderr.count("\n") == again.stderr.count("\n") == 2


def test_a_reader_that_goes_early_is_no_drama(served: str, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("hello\n" * 10_000)
    script = f'"{sys.executable}" -m unisock connect {served}/raw < lines | head -n 1'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == "hello\n"
    assert "Traceback" not in done.stderr
    assert "rror" not in done.stderr


def test_a_line_that_is_no_text_is_refused(talk: Any, served: str) -> None:
    said = talk(f"{served}/raw", stdin=b"fine\n\xff\n")
    assert said.code == 1
    assert "line 2 of standard input is no UTF-8" in said.stderr


def test_nobody_there_is_one_line(talk: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = talk(f"127.0.0.1:{port}/ws", stdin="hello\n")
    assert said.code == 1
    assert said.stderr == f"unisock: cannot connect to 127.0.0.1:{port}: connection refused\n"
    assert said.stdout == ""


def test_messages_of_another_codec_are_one_line(talk: Any, served: str) -> None:
    said = talk(f"{served}/broken", "--codec", "json", "-w", "30")
    assert said.code == 1
    assert "what the server sent cannot be read: not JSON" in said.stderr
    assert said.stdout == ""
