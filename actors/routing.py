"""The WebSocket endpoints of actors: the quiz and the examples."""

from django.urls import URLPattern, path

from realtime_project.demos import Demo

from . import examples
from .consumers import ActorConsumer
from .quiz.consumers import QuizConsumer
from .quiz.game import Format
from .store import Store

urlpatterns: list[URLPattern] = [
    Demo(
        path("ws/quiz/", QuizConsumer.of(Format())),
        "A live quiz: every player is an actor, their timers go on without them, and a server that is restarted in "
        "mid-round loses neither an answer nor a second.",
        samples=['{"type": "Open", "name": "ann"}', '{"type": "Begin"}', '{"type": "Answer", "step": 1, "choice": 0}'],
        subprotocols=["session"],
        page=("quiz", "Play the quiz"),
    ),
    Demo(
        path("ws/echo/", ActorConsumer.as_asgi(initial_state=examples.Guest(), rules=examples.echo)),
        "The smallest actor: says “welcome!”, then tells you what you said. Bytes come back as bytes.",
        samples=["hello"],
    ),
    Demo(
        path(
            "ws/names/",
            ActorConsumer.as_asgi(initial_state=examples.Unnamed(), rules=examples.names, persist=True, record=True),
        ),
        "A chatroom for those who have said who they are: your first message is your name. Its actors are kept: offer "
        "“session.” with the token that you are told, beside “session”, and you are who you were.",
        samples=["bob", "hi"],
        subprotocols=["session"],
    ),
    Demo(
        path(
            "ws/store/",
            ActorConsumer.as_asgi(
                initial_state=examples.Shelf(Store("demo.inventory")),
                rules=examples.inventory,
                messages=[examples.StoreRequest, examples.FetchRequest],
            ),
        ),
        "Typed messages on a store that all share: what one puts in, every other fetches, after a restart too.",
        samples=[
            '{"type": "StoreRequest", "key": "apples", "value": 3}',
            '{"type": "FetchRequest", "key": "apples"}',
        ],
    ),
]
