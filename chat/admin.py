"""What staff may look at and change. Rooms, memberships and messages are only looked at, but for a room's words:
rooms.py alone writes them, because the members have to hear of it.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from realtime_project.listing import Linked

from .forms import LineField
from .models import Membership, Message, Room, User


class Named(forms.ModelForm):  # type: ignore[type-arg]
    """A person's form: the name is checked as on the site, and the username follows it."""

    name = LineField(max_length=40, widget=UnfoldAdminTextInputWidget)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        self.instance.username = User.normalize_username(name)
        if User.objects.filter(username=self.instance.username).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("That name is taken.")
        return name


class PersonChangeForm(Named, UserChangeForm):  # type: ignore[misc]
    pass


class PersonCreationForm(Named, UserCreationForm):  # type: ignore[misc]
    class Meta:
        model = User
        fields = ["name"]


class ReadOnly:
    """Nothing can be added, changed or deleted here."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    form = PersonChangeForm
    add_form = PersonCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["name", "is_guest", "is_staff", "is_active", "created_from", "date_joined", "last_login"]
    list_filter = ["is_guest", "is_staff", "is_active"]
    search_fields = ["name", "username", "created_from"]
    ordering = ["-date_joined"]
    filter_horizontal = []
    show_full_result_count = False
    readonly_fields = ["username", "is_guest", "created_from", "date_joined", "last_login"]
    fieldsets = [
        (None, {"fields": ["name", "username", "password", "is_guest"]}),
        ("Permissions", {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
        ("History", {"fields": ["created_from", "date_joined", "last_login"]}),
    ]
    add_fieldsets = [(None, {"fields": ["name", "usable_password", "password1", "password2"]})]


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    pass


class MembershipInline(ReadOnly, TabularInline):  # type: ignore[misc]
    model = Membership
    fields = ["user", "joined_at", "read_offset"]
    ordering = ["pk"]
    per_page = 20
    tab = True


@admin.register(Room)
class RoomAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ["name", "slug", "is_private", "description", "people", "created_by", "created_at"]
    list_filter = ["is_private"]
    search_fields = ["name", "slug", "description"]
    readonly_fields = ["slug", "is_private", "created_by", "created_at"]
    fields = ["name", "description", "slug", "is_private", "created_by", "created_at"]
    list_select_related = ["created_by"]
    inlines = [MembershipInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Room]:
        rooms: QuerySet[Room] = super().get_queryset(request)
        return rooms.annotate(people=Count("memberships"))

    @admin.display(description="members", ordering="people")
    def people(self, room: Any) -> int:
        return int(room.people)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Room | None = None) -> bool:
        return False


@admin.register(Message)
class MessageAdmin(Linked, ReadOnly, ModelAdmin):  # type: ignore[misc]
    list_display = ["created_at", "room", "author", "beginning"]
    list_select_related = ["room", "author"]
    search_fields = ["text", "author__name", "room__slug"]
    ordering = ["-pk"]
    show_full_result_count = False
    fields = ["room", "author", "offset", "created_at", "edited_at", "deleted_at", "text", "client_id"]

    @admin.display(description="text")
    def beginning(self, message: Message) -> str:
        return Truncator(message.text).chars(80)
