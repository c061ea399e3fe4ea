"""Every HTTP URL. Apps are named, never imported."""

from django.contrib import admin
from django.urls import include, path

from . import views
from .routing import pages

urlpatterns = [
    path("admin/", include("admin_panel.urls")),
    path("admin/", include("actors.urls")),
    path("admin/", admin.site.urls),
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("metrics", views.measured),
    path("demos/", views.demos, name="demos"),
    path("", include("actors.quiz.urls")),
    path("", include("chat.urls")),
    *pages,  # last: a page may stand at a WebSocket's address
]
