"""The project's pages, and the quiz with few questions."""

from django.urls import path

from actors.quiz import views
from realtime_project.urls import urlpatterns as project

urlpatterns = [
    path("acted/quiz/", views.quiz, {"socket": "/ws/acted/quiz/shown/"}),
    path("acted/quiz/quick/", views.quiz, {"socket": "/ws/acted/quiz/quick/"}),
    *project,
]
