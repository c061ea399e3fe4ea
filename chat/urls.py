"""The chat's pages, and the JSON beside them. Names stand in the root namespace."""

from django.contrib.auth.views import LogoutView
from django.urls import path, register_converter
from django.urls.converters import StringConverter

from . import views


class RoomSlug(StringConverter):
    """What a room's slug can be, in any script."""

    regex = r"[-\w]+"


register_converter(RoomSlug, "room")

urlpatterns = [
    path("", views.home, name="home"),
    path("rooms/", views.rooms_create, name="rooms_create"),
    path("rooms/<room:slug>/", views.room, name="room"),
    path("rooms/<room:slug>/join/", views.room_join, name="room_join"),
    path("rooms/<room:slug>/leave/", views.room_leave, name="room_leave"),
    path("accounts/guest/", views.guest, name="guest"),
    path("accounts/signup/", views.signup, name="signup"),
    path("accounts/login/", views.LogIn.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("api/rooms/", views.api_rooms, name="api_rooms"),
    path("api/rooms/<room:slug>/messages/", views.api_messages, name="api_messages"),
]
