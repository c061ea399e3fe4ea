"""The example actors: an echo, a chatroom of names, a shared store. Anybody may use them: on in development only."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from django.db import transaction

from realtime_project import database, registry
from realtime_project.feeds import Content
from realtime_project.topics import Topic

from .effects import Call, Postpone, Publish, Subscribe, Write
from .messages import CallFailed, ClientConnected, ClientDisconnected, Message
from .naming import folded, mistake
from .rules import Rules
from .states import State
from .store import Store

# echo: the smallest actor ---------------------------------------------------------------------------------------
echo = Rules()


class Guest(State, frozen=True):
    pass


class Connected(State, frozen=True):
    topic_out: Topic


@echo.on(ClientConnected, Guest)
def greet(message: ClientConnected, state: Guest) -> Any:
    return [Publish(message.topic_out, "welcome!")], Connected(message.topic_out)


@echo.on(str, Connected)
def answer(message: str, state: Connected) -> Any:
    return [Publish(state.topic_out, f"you said: {message}")], state


@echo.on(bytes, Connected)
def return_bytes(message: bytes, state: Connected) -> Any:
    return [Publish(state.topic_out, message)], state


# names: a chatroom for those who have said who they are ----------------------------------------------------------
names = Rules()

members = Topic("demo.names")
taken = Store("demo.names")  # name, folded → who has it

NAME = 40  # characters
ASK = "send your name"


class Holder(msgspec.Struct, frozen=True):
    """A connection, as the owner of a name: it loses it when it leaves, or when its server is no more."""

    connection: str
    server: str


class Unnamed(State, frozen=True):
    topic_out: Topic | None = None
    me: Holder | None = None


class Claiming(State, frozen=True):
    """Asking the others' store whether the name is free."""

    topic_out: Topic
    me: Holder
    name: str


class Named(State, frozen=True):
    topic_out: Topic
    me: Holder
    name: str


class Claimed(msgspec.Struct, frozen=True):
    """The answer: whether the name is ours now."""

    name: str
    is_ours: bool


@names.on(ClientConnected, Unnamed)
def ask(message: ClientConnected, state: Unnamed) -> Any:
    me = Holder(message.connection, message.server)
    return [Publish(message.topic_out, ASK)], Unnamed(message.topic_out, me)


@names.on(ClientConnected, Claiming | Named)
def return_with_a_name(message: ClientConnected, state: Claiming | Named) -> Any:
    me = Holder(message.connection, message.server)
    return [Call(claim, state.name, me)], Claiming(message.topic_out, me, state.name)


@names.on(str, Unnamed)
def choose(message: str, state: Unnamed) -> Any:
    name = message.strip()
    assert state.topic_out
    assert state.me
    if wrong := mistake(name, NAME):
        return [Publish(state.topic_out, f"{wrong}; {ASK}")], state
    return [Call(claim, name, state.me)], Claiming(state.topic_out, state.me, name)


@names.on(str | bytes, Claiming)
def wait(message: Content, state: Claiming) -> Any:
    return [Postpone()], state


@names.on(Claimed, Claiming)
def join(message: Claimed, state: Claiming) -> Any:
    if not message.is_ours:
        sorry = Publish(state.topic_out, f"{state.name} is taken; {ASK}")
        return [sorry], Unnamed(state.topic_out, state.me)
    joined = f"* {state.name} joined"
    relay = partial(tell, state.topic_out, joined)
    return [Publish(members, joined), Subscribe(members, relay)], Named(state.topic_out, state.me, state.name)


@names.on(CallFailed, Claiming)
def ask_again(message: CallFailed, state: Claiming) -> Any:
    sorry = Publish(state.topic_out, f"nobody could say now whether {state.name} is free; {ASK}")
    return [sorry], Unnamed(state.topic_out, state.me)


@names.on(str, Named)
def say(message: str, state: Named) -> Any:
    return [Publish(members, f"[{state.name}]: {message}")], state


@names.on(bytes, Unnamed | Named)
def refuse_bytes(message: bytes, state: Unnamed | Named) -> Any:
    assert state.topic_out
    wish = ASK if isinstance(state, Unnamed) else "say it in words"
    return [Publish(state.topic_out, f"only text is understood here, not binary; {wish}")], state


@names.on(ClientDisconnected, Claiming)
def leave_unheard(message: ClientDisconnected, state: Claiming) -> Any:
    return [Write(release, state.name, state.me)], state


@names.on(ClientDisconnected, Named)
def leave(message: ClientDisconnected, state: Named) -> Any:
    return [Write(release, state.name, state.me), Publish(members, f"* {state.name} left")], state


def tell(topic_out: Topic, own: str, content: Content) -> Any:
    """To a member goes what is said in the room, but not that they have joined themselves."""
    return None if content == own else [Publish(topic_out, content)]


async def claim(name: str, me: Holder) -> Claimed:
    return Claimed(name, await database.run(claim_sync, name, me))


def claim_sync(name: str, me: Holder) -> bool:
    """Take a name that is free, or that nobody has who still could be there."""
    key, mine = folded(name), msgspec.to_builtins(me)
    with transaction.atomic():
        if taken.add_sync(key, mine):
            return True
        owner = taken.get_sync(key)
        if owner == mine:
            return True
        if owner and registry.servers().filter(pk=owner["server"]).exists():
            return False
        taken.delete_sync(key)
        return taken.add_sync(key, mine)


def release(name: str, me: Holder) -> None:
    if taken.get_sync(folded(name)) == msgspec.to_builtins(me):
        taken.delete_sync(folded(name))


# store: typed messages, and what all clients share ----------------------------------------------------------------
inventory = Rules()


class StoreRequest(Message, frozen=True):
    key: str
    value: Any


class FetchRequest(Message, frozen=True):
    key: str


class Shelf(State, frozen=True):
    """The store travels in the state: whoever has the state has the store."""

    store: Store
    topic_out: Topic | None = None


class Working(State, frozen=True):
    """A request is under way; the next ones wait, so that answers come in their order."""

    store: Store
    topic_out: Topic


class Answer(msgspec.Struct, frozen=True):
    text: str


@inventory.on(ClientConnected, Shelf)
def open_shelf(message: ClientConnected, state: Shelf) -> Any:
    return [], Shelf(state.store, message.topic_out)


@inventory.on(StoreRequest, Shelf)
def put(message: StoreRequest, state: Shelf) -> Any:
    assert state.topic_out
    return [Call(put_in, state.store, message.key, message.value)], Working(state.store, state.topic_out)


@inventory.on(FetchRequest, Shelf)
def fetch(message: FetchRequest, state: Shelf) -> Any:
    assert state.topic_out
    return [Call(look_up, state.store, message.key)], Working(state.store, state.topic_out)


@inventory.on(Answer, Working)
def reply(message: Answer, state: Working) -> Any:
    return [Publish(state.topic_out, message.text)], Shelf(state.store, state.topic_out)


@inventory.on(Message | str | bytes, Working)
def queue(message: Any, state: Working) -> Any:
    return [Postpone()], state


@inventory.on(str | bytes, Shelf)
def explain(message: Content, state: Shelf) -> Any:
    assert state.topic_out
    return [Publish(state.topic_out, _error("Send a StoreRequest or a FetchRequest, as JSON in a text frame."))], state


async def put_in(store: Store, key: str, value: Any) -> Answer:
    try:
        await store.set(key, value)
    except (TypeError, ValueError) as error:
        return Answer(_error(str(error)))
    except Exception:
        return Answer(_error("It could not be stored now. Try again in a moment.", "unavailable"))
    return Answer(_json(type="stored", key=key))


async def look_up(store: Store, key: str) -> Answer:
    try:
        value = await store.get(key)
    except (TypeError, ValueError) as error:
        return Answer(_error(str(error)))
    except Exception:
        return Answer(_error("It could not be looked up now. Try again in a moment.", "unavailable"))
    return Answer(_json(type="fetched", key=key, value=value))


def _error(detail: str, code: str = "invalid_message") -> str:
    return _json(type="error", code=code, detail=detail)


def _json(**fields: Any) -> str:
    return msgspec.json.encode(fields).decode()
