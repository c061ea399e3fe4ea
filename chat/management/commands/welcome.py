"""A place to begin: the demo rooms and, where nobody is staff, an administrator. Running it again changes nothing."""

import secrets
from itertools import chain, count
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.urls import reverse

from chat import rooms
from chat.models import Room, User

ROOMS = {
    "lobby": ("Lobby", "Everything that has no room of its own"),
    "design": ("Design", "Sketches, type, colour and second opinions"),
    "deploys": ("Deploys", "What goes out, what comes back"),
    "reading-club": ("Reading club", "One book a month, and no spoilers before Friday"),
}
PASSWORD_BYTES = 12  # of randomness: sixteen characters


class Command(BaseCommand):
    help = "Creates the demo rooms and, once, an administrator whose random password it prints."

    def handle(self, *args: Any, **options: Any) -> None:
        staff = User.objects.filter(is_staff=True).order_by("pk").first() or self.administrator()
        for slug, (name, description) in ROOMS.items():
            if Room.objects.filter(slug=slug).exists():
                self.stdout.write(f"  #{slug} is there already.")
            else:
                rooms.create(staff.pk, name, description, slug)
                self.stdout.write(f"  #{slug} is open: {description}.")

    def administrator(self) -> User:
        """Printed this once; nobody can read the password again."""
        names = chain(["admin"], (f"admin-{number}" for number in count(2)))  # a guest may have taken the first
        name = next(name for name in names if not User.objects.filter(username=name).exists())
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        person = User.objects.create_superuser(name, password=password)
        site = next(iter(settings.ALLOWED_ORIGINS), "")  # a development server has whatever port it was given
        self.stdout.write(f"\n  Staff log in at {site}{reverse('admin:index')}")
        self.stdout.write(f"      name      {name}")
        self.stdout.write(f"      password  {password}")
        self.stdout.write("  This password is shown only now. Keep it, or change it there.\n\n")
        return person
