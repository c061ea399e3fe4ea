"""The chat's pages, and the JSON beside them. Names stand in the root namespace."""

from django.contrib.auth.views import LogoutView
from django.urls import path, register_converter
from django.urls.converters import IntConverter, StringConverter

from . import views


class RoomSlug(StringConverter):
    """What a room's slug can be, in any script."""

    regex = r"[-\w]+"


class Number(IntConverter):
    """A row's number, no larger than databases count."""

    regex = "[0-9]{1,18}"


register_converter(RoomSlug, "room")
register_converter(Number, "number")

urlpatterns = [
    path("", views.home, name="home"),
    path("rooms/", views.rooms_create, name="rooms_create"),
    path("rooms/<room:slug>/", views.room, name="room"),
    path("rooms/<room:slug>/join/", views.room_join, name="room_join"),
    path("rooms/<room:slug>/leave/", views.room_leave, name="room_leave"),
    path("invitations/<slug:token>/", views.invitation, name="invitation"),
    path("accounts/guest/", views.guest, name="guest"),
    path("accounts/signup/", views.signup, name="signup"),
    path("accounts/login/", views.LogIn.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("api/rooms/", views.api_rooms, name="api_rooms"),
    path("api/rooms/<room:slug>/messages/", views.api_messages, name="api_messages"),
    path("api/rooms/<room:slug>/members/", views.api_members, name="api_members"),
    path("api/rooms/<room:slug>/members/<number:user>/remove/", views.api_member_remove, name="api_member_remove"),
    path("api/rooms/<room:slug>/invitations/", views.api_invite, name="api_invite"),
    path("api/rooms/<room:slug>/invitations/<number:number>/end/", views.api_invitation_end, name="api_invitation_end"),
]
