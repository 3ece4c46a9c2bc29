"""Clients of revision 3, where the endpoint lets them in."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio


async def test_only_where_it_is_allowed(serve: Any) -> None:
    async with serve() as rig:
        assert rig.code(await rig.request("EIO=3&transport=polling")) == 5
    async with serve(allow_eio3=True) as rig:
        assert (await rig.open(eio=3)).told["upgrades"] == ["websocket"]
        assert (await rig.open(eio=4)).told["upgrades"] == ["websocket"]
        for odd in ("", "2", "03", "3.0", "abc"):
            assert rig.code(await rig.request(f"EIO={odd}&transport=polling")) == 5
        assert rig.code(await rig.request("transport=polling")) == 5


async def test_a_session_keeps_to_its_revision(serve: Any) -> None:
    async with serve(allow_eio3=True) as rig:
        client = await rig.open(eio=3)
        other = client.query.replace("EIO=3", "EIO=4")
        assert rig.code(await rig.request(other)) == 3


async def test_messages_as_text(serve: Any) -> None:
    async with serve(allow_eio3=True) as rig:
        client = await rig.open("&b64=1", eio=3)
        await client.say("6:4hello3:4😀10:b4AQIDBA==")
        assert rig.seen == ["hello", "😀", b"\x01\x02\x03\x04"]
        answer = await client.get()
        assert answer.body.decode() == "6:4hello3:4😀10:b4AQIDBA=="
        assert rig.header(answer, "content-type") == "text/plain; charset=UTF-8"


async def test_messages_as_binary(serve: Any) -> None:
    async with serve(allow_eio3=True) as rig:
        client = await rig.open(eio=3)
        body = b"\x00\x04\xff4\xe2\x82\xac\x01\x05\xff\x04\x01\x02\x03\x04"
        assert (await client.post(body, "application/octet-stream")).body == b"ok"
        assert rig.seen == ["€", b"\x01\x02\x03\x04"]
        answer = await client.get()
        assert answer.body == body
        assert rig.header(answer, "content-type") == "application/octet-stream"


async def test_messages_on_a_websocket(serve: Any) -> None:
    async with serve(allow_eio3=True) as rig:
        peer = await rig.open_websocket(eio=3)
        await peer.send("4hello")
        await peer.send(b"\x04\x01\x02")
        assert [await peer.receive() for _ in range(2)] == ["4hello", b"\x04\x01\x02"]
        await peer.send(b"")
        assert (await peer.wait_closed()).code == 1002


async def test_an_upgrade(serve: Any) -> None:
    async with serve(allow_eio3=True) as rig:
        client = await rig.open(eio=3)
        rig.sparks[0].send_nowait(b"\x01")
        peer = await client.upgrade_socket()
        await peer.send("2probe")
        assert await peer.receive() == "3probe"
        await peer.send("5")
        assert await peer.receive() == b"\x04\x01"


@pytest.mark.parametrize("body", ["abc", "", "4:4a", "1:9", "x:4"])
async def test_a_bad_payload_ends_the_session(serve: Any, body: str) -> None:
    async with serve(allow_eio3=True) as rig:
        client = await rig.open(eio=3)
        assert (await client.post(body)).status == 400
        assert rig.closes[0].reason == "parse error"


async def test_jsonp(serve: Any) -> None:
    async with serve(allow_eio3=True, jsonp=True) as rig:
        query = "EIO=3&transport=polling&j=7"
        answer = await rig.request(query)
        assert rig.header(answer, "content-type") == "text/javascript; charset=UTF-8"
        assert rig.header(answer, "x-content-type-options") == "nosniff"
        assert answer.body.startswith(b'___eio[7]("')
        assert answer.body.endswith(b'");')
        query += f"&sid={rig.sparks[0].id}"
        form = [("Content-Type", "application/x-www-form-urlencoded")]
        posted = await rig.request(query, method="POST", headers=form, body=b"d=5%3A4a%5Cn%3Cb")
        assert posted.body == b"ok"
        assert rig.seen == ["a\n<b"]
        rig.sparks[0].send_nowait("\u2028é")
        assert (await rig.request(query)).body == (
            b'___eio[7]("5:4a\\n\\u003cb3:4\\u2028\\u00e9");'
        )


async def test_jsonp_keeps_escaped_line_feeds(serve: Any) -> None:
    async with serve(allow_eio3=True, jsonp=True) as rig:
        await rig.request("EIO=3&transport=polling&j=0")
        query = f"EIO=3&transport=polling&j=0&sid={rig.sparks[0].id}"
        await rig.request(query, method="POST", body=b"d=4%3A4a%5C%5Cn")
        assert rig.seen == ["a\\n"]


async def test_a_jsonp_function_is_a_number(serve: Any) -> None:
    async with serve(allow_eio3=True, jsonp=True) as rig:
        answer = await rig.request("EIO=3&transport=polling&j=alert(1)%5D%3Bx%5B2")
        assert answer.body.startswith(b"___eio[12](")


async def test_jsonp_only_if_asked_for(serve: Any) -> None:
    async with serve(allow_eio3=True) as rig:
        assert rig.code(await rig.request("EIO=3&transport=polling&j=0")) == 3
        client = await rig.open(eio=3)
        assert rig.code(await rig.request(client.query + "&j=0")) == 3


@pytest.mark.parametrize("body", [b"", b"x=1", b"d=%ff", b"&" * 20])
async def test_a_form_without_a_payload(serve: Any, body: bytes) -> None:
    async with serve(allow_eio3=True, jsonp=True) as rig:
        await rig.request("EIO=3&transport=polling&j=0")
        query = f"EIO=3&transport=polling&j=0&sid={rig.sparks[0].id}"
        assert (await rig.request(query, method="POST", body=body)).status == 400
