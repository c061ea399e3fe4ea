"""Zef: a topic that clients subscribe to and push into, and an actor that echoes. `python -m … PORT`."""

import sys
import threading

import zef
from zef import ET, FX, String, generate_uid, run, zef_function
from zef import Any as Anything

zef.enable_dynamic()  # the names of types are looked up while it runs
room = ET.Topic(generate_uid())


# No annotations here: Zef would read them as types of its own.
@zef_function
def connected(message_and_state):  # type: ignore[no-untyped-def]
    message, _ = message_and_state
    return [[], ET.Ready(topic_out=message.topic_out)]


@zef_function
def echo(message_and_state):  # type: ignore[no-untyped-def]
    message, state = message_and_state
    return [[FX.Publish(target=state.topic_out, content=message)], state]


@zef_function
def ignore(message_and_state):  # type: ignore[no-untyped-def]
    _, state = message_and_state
    return [[], state]


actor = FX.StartActor(
    initial_state=ET.Initial(),
    rules={(ET.WSClientConnected, ET.Initial): connected, (String, ET.Ready): echo, (Anything, Anything): ignore},
)
routes = {
    "/healthz": "ok",
    "/broadcast": ET.WebSocket(clients_subscribe_to=[room], clients_push_into_=[room]),
    "/echo": ET.WebSocket(actor=actor),
}
FX.StartHTTPServer(routes=routes, port=int(sys.argv[1]), logging=ET.NoLogging()) | run
threading.Event().wait()
