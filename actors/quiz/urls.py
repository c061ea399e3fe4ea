"""The quiz's page."""

from django.urls import path

from . import views

urlpatterns = [path("demos/quiz/", views.quiz, name="quiz")]
