from __future__ import annotations

import socket

from esteira_worker.channel import Channel


async def test_messages_arrive_whole_and_in_order_however_long_they_are() -> None:
    one, other = [await Channel.open(end) for end in socket.socketpair()]
    one.send("first", text="x\ny" * 500_000)
    one.send("second")
    assert await other.receive() == {"kind": "first", "text": "x\ny" * 500_000}
    assert await other.receive() == {"kind": "second"}
    one.close()
    other.close()


async def test_the_end_of_the_other_side_is_told_and_half_a_message_is_none() -> None:
    ours, theirs = socket.socketpair()
    channel = await Channel.open(ours)
    assert not channel.is_closed()
    theirs.sendall(b'{"kind": "cut')
    theirs.close()
    assert await channel.receive() is None
    assert channel.is_closed()
    channel.send("nobody listens")
    channel.close()
