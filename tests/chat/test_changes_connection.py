"""Edit, delete and react over real sockets: every refusal, the races, and that the old text is given to nobody."""

import asyncio
import json
from typing import Any

import pytest

from tests.helpers import ChatClient, Refused, Server, browser, cookies, create_room, guest, unique


def page(server: Server, cookie: str, room: str) -> list[dict[str, Any]]:
    with browser(server.url, cookies=cookies(cookie)) as asking:
        messages: list[dict[str, Any]] = asking.get(f"/api/rooms/{room}/messages/").json()["messages"]
    return messages


async def test_an_edit_reaches_everyone(server: Server) -> None:
    ann, bob = guest(server), guest(server)
    room = create_room(server, ann)
    async with ChatClient(server, ann) as a, ChatClient(server, bob) as b:
        await a.subscribe(room)
        await b.subscribe(room)
        post = await a.post(room, "teh text")
        ack = await a.command(type="edit", message=post["message"], text="the **text**", id="e-1")
        assert ack == {"type": "ack", "id": "e-1", "room": room, "offset": 3, "message": post["message"]}
        for client in (a, b):
            await client.heard(room, 3)
            created, edited = (event["message"] for event in client.events(room))
            assert edited == {**created, **{key: edited[key] for key in ("text", "html", "edited_at")}}
            assert (edited["text"], edited["html"]) == ("the **text**", "<p>the <strong>text</strong></p>")
            client.assert_whole(room)
        assert await a.command(type="edit", message=post["message"], text="the **text**", id="e-1") == ack
        [shown] = page(server, bob, room)
        assert shown["text"] == "the **text**"
        assert shown["edited_at"] == edited["edited_at"]


async def test_commands_without_an_id_are_acknowledged_without_one(server: Server) -> None:
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as client:
        post = await client.post(room, "hi")
        await client.send(type="edit", message=post["message"], text="ho")
        ack = await client.frame(lambda frame: frame["type"] == "ack" and frame["offset"] == 3)
        assert ack == {"type": "ack", "room": room, "offset": 3, "message": post["message"]}


async def test_a_deletion_reaches_everyone_and_leaves_an_empty_row(server: Server) -> None:
    ann, bob = guest(server), guest(server)
    room = create_room(server, ann)
    async with ChatClient(server, ann) as a, ChatClient(server, bob) as b:
        await b.subscribe(room)
        number = (await a.post(room, "regretted"))["message"]
        ack = await a.command(type="delete", message=number)
        assert (ack["room"], ack["offset"], ack["message"]) == (room, 3, number)
        await b.heard(room, 3)
        assert b.events(room)[-1] == {"type": "message.deleted", "room": room, "offset": 3, "message": {"id": number}}
        assert (await a.command(type="delete", message=number))["offset"] == 3
    [shown] = page(server, bob, room)
    assert (shown["deleted"], shown["text"], shown["html"], shown["id"]) == (True, "", "", number)


async def test_reactions_reach_everyone_and_a_page_knows_ones_own(server: Server) -> None:
    ann, bob = guest(server, name := unique("ann")), guest(server)
    room = create_room(server, ann)
    async with ChatClient(server, ann) as a, ChatClient(server, bob) as b:
        await b.subscribe(room)
        number = (await a.post(room, "done!"))["message"]
        ack = await a.command(type="react", message=number, emoji="🎉", on=True)
        assert await a.command(type="react", message=number, emoji="🎉", on=True, id=ack["id"]) == ack
        await b.heard(room, 3)
        event = b.events(room)[-1]
        assert event["type"] == "message.reacted"
        assert (event["message"], event["emoji"], event["on"]) == ({"id": number}, "🎉", True)
        assert event["user"]["name"] == name
        assert event["reactions"] == [{"emoji": "🎉", "count": 1}]
        assert page(server, ann, room)[0]["reactions"] == [{"emoji": "🎉", "count": 1, "mine": True}]
        assert page(server, bob, room)[0]["reactions"] == [{"emoji": "🎉", "count": 1, "mine": False}]
        await a.command(type="react", message=number, emoji="🎉", on=False)
        await b.heard(room, 4)
        assert b.events(room)[-1]["reactions"] == []
        b.assert_whole(room)


# Refusals -------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "edit", "text": "no message"}, "invalid_message"),
    ({"type": "edit", "message": "17", "text": "hi"}, "invalid_message"),
    ({"type": "edit", "message": 0, "text": "hi"}, "invalid_message"),
    ({"type": "edit", "message": 2**70, "text": "hi"}, "invalid_message"),
    ({"type": "edit", "message": 2**62, "text": "hi"}, "not_found"),
    ({"type": "edit", "message": "mine", "text": 5}, "invalid_message"),
    ({"type": "edit", "message": "mine", "text": ""}, "invalid_message"),
    ({"type": "edit", "message": "mine", "text": "a\0b"}, "invalid_message"),
    ({"type": "edit", "message": "mine", "text": "x" * 4_001}, "too_long"),
    ({"type": "edit", "message": "theirs", "text": "in another's name"}, "not_found"),
    ({"type": "edit", "message": "gone", "text": "back"}, "not_found"),
    ({"type": "delete"}, "invalid_message"),
    ({"type": "delete", "message": -1}, "invalid_message"),
    ({"type": "delete", "message": 2**62}, "not_found"),
    ({"type": "delete", "message": "theirs"}, "not_found"),
    ({"type": "react", "message": "mine", "emoji": "👍"}, "invalid_message"),
    ({"type": "react", "message": "mine", "emoji": "👍", "on": "yes"}, "invalid_message"),
    ({"type": "react", "message": "mine", "emoji": "", "on": True}, "invalid_message"),
    ({"type": "react", "message": "mine", "emoji": "👍👍", "on": True}, "invalid_message"),
    ({"type": "react", "message": "mine", "emoji": "<b>", "on": True}, "invalid_message"),
    ({"type": "react", "message": "mine", "emoji": "x" * 60_000, "on": True}, "invalid_message"),
    ({"type": "react", "message": "gone", "emoji": "👍", "on": True}, "not_found"),
    ({"type": "react", "message": 2**62, "emoji": "👍", "on": True}, "not_found"),
]


@pytest.mark.parametrize(("command", "code"), REFUSED, ids=lambda value: str(value)[:70])
async def test_what_is_refused_changes_nothing(server: Server, command: dict[str, Any], code: str) -> None:
    ann, bob = guest(server), guest(server)
    room = create_room(server, ann)
    async with ChatClient(server, ann) as a, ChatClient(server, bob) as b:
        numbers = {"mine": (await a.post(room, "mine"))["message"], "theirs": (await b.post(room, "theirs"))["message"]}
        numbers["gone"] = (await a.post(room, "gone"))["message"]
        await a.command(type="delete", message=numbers["gone"])
        before = page(server, ann, room)
        command = {**command, "message": numbers.get(command.get("message", 0), command.get("message"))}
        with pytest.raises(Refused) as refused:
            await a.command(**command)
        assert refused.value.code == code
        assert isinstance(refused.value.reply["detail"], str)
        assert page(server, ann, room) == before


async def test_missing_and_foreign_messages_are_refused_alike(server: Server) -> None:
    ann, bob = guest(server), guest(server)
    room = create_room(server, ann)
    async with ChatClient(server, ann) as a, ChatClient(server, bob) as b:
        number = (await a.post(room, "hers"))["message"]
        commands: list[dict[str, Any]] = [{"type": "edit", "text": "x"}, {"type": "delete"}]
        for command in commands:
            replies = []
            for message in (number, 10**9):
                with pytest.raises(Refused) as refused:
                    await b.command(**command, message=message, id="same")
                replies.append(refused.value.reply)
            assert replies[0] == replies[1]


# Races ----------------------------------------------------------------------------------------------------------


async def test_edits_from_two_tabs_at_once_end_alike_everywhere(server: Server) -> None:
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as one, ChatClient(server, cookie) as two:
        await one.subscribe(room)
        number = (await one.post(room, "zero"))["message"]
        edits = [tab.command(type="edit", message=number, text=f"{n}") for n in range(20) for tab in (one, two)]
        acks = await asyncio.gather(*edits)
        last = max(ack["offset"] for ack in acks)
        await one.heard(room, last)
        one.assert_whole(room)
        [shown] = page(server, cookie, room)
        assert shown["text"] == one.events(room)[-1]["message"]["text"]


async def test_of_an_edit_and_a_deletion_at_once_the_deletion_stays(server: Server) -> None:
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as one, ChatClient(server, cookie) as two:
        await one.subscribe(room)
        for number in range(10):
            message = (await one.post(room, f"text {number}"))["message"]
            edit, deletion = await asyncio.gather(
                one.command(type="edit", message=message, text=f"edited {number}"),
                two.command(type="delete", message=message),
                return_exceptions=True,
            )
            assert isinstance(deletion, dict)
            if isinstance(edit, Refused):
                assert edit.code == "not_found"
            else:
                assert isinstance(edit, dict)
                assert edit["offset"] < deletion["offset"]
        last = await one.post(room, "last")
        await one.heard(room, last["offset"])
        one.assert_whole(room)
        assert all(shown["deleted"] and not shown["text"] for shown in page(server, cookie, room)[:-1])


async def test_one_reaction_from_two_tabs_at_once_counts_once(server: Server) -> None:
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as one, ChatClient(server, cookie) as two:
        await one.subscribe(room)
        number = (await one.post(room, "hi"))["message"]
        acks = await asyncio.gather(
            *(tab.command(type="react", message=number, emoji="👍", on=True) for tab in (one, two) for _ in range(5))
        )
        assert {ack["offset"] for ack in acks} == {3}
        await one.post(room, "last")
        await one.heard(room, 4)
        assert [event["type"] for event in one.events(room)] == [
            "message.created",
            "message.reacted",
            "message.created",
        ]
        one.assert_whole(room)


# Blanking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["edit", "delete"])
async def test_after_the_ack_no_frame_has_the_old_text(server: Server, change: str) -> None:
    """Although the process has it in memory: somebody was there and was given it as it was said."""
    cookie = guest(server)
    room = create_room(server, cookie)
    secret = unique("secret")
    async with ChatClient(server, cookie) as witness, ChatClient(server, cookie) as client:
        await witness.subscribe(room)
        acks = [await client.post(room, text) for text in ("before", secret, "after")]
        number = acks[1]["message"]
        await witness.heard(room, acks[-1]["offset"])
        assert secret in witness.texts(room)
        more: dict[str, Any] = {"text": "harmless"} if change == "edit" else {}
        changed = await client.command(type=change, message=number, **more)
        async with ChatClient(server, cookie) as back:
            await back.subscribe(room, since=0)
            await back.heard(room, changed["offset"])
        assert secret not in json.dumps(page(server, cookie, room))
    back.assert_whole(room)
    assert secret not in json.dumps(back.frames)
    held = server.python(f"""
        from realtime_project.models import TopicEvent
        from chat.models import Message
        events = [bytes(event.content) for event in TopicEvent.objects.all()]
        print(json.dumps([sum({secret!r}.encode() in event for event in events),
                          Message.objects.filter(text__contains={secret!r}).count(),
                          Message.objects.filter(html__contains={secret!r}).count()]))
    """)
    assert held == [0, 0, 0]


async def test_who_was_away_is_given_the_edit_and_not_what_was_edited(unlimited: Server) -> None:
    server = unlimited
    cookie = guest(server)
    room = create_room(server, cookie)
    async with ChatClient(server, cookie) as reader:
        await reader.subscribe(room)
        since = reader.since(room)
    async with ChatClient(server, cookie) as writer:
        numbers = [(await writer.post(room, f"draft {n}"))["message"] for n in range(30)]
        for n, number in enumerate(numbers):
            await writer.command(type="edit", message=number, text=f"final {n}")
    server.restart()  # and what the log has is the same
    async with ChatClient(server, cookie) as reader:
        await reader.subscribe(room, since=since)
        await reader.heard(room, since + 60)
        reader.assert_whole(room)
        assert "draft" not in json.dumps(reader.frames)
        texts = [event["message"]["text"] for event in reader.events(room) if event["type"] == "message.edited"]
        assert texts == [f"final {n}" for n in range(30)]
