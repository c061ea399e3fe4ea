"""What may be typed into a form, and what becomes of it. Every rule about names stands here and in User.

A person's name is unique in the database, not by asking first: of two who take a name at once, one is told.
"""

import itertools
import secrets
import unicodedata
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.password_validation import password_validators_help_text_html, validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from . import rooms
from .models import AS_EMOJI, JOINER, Room, User

REFUSED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # categories that show nothing, or turn the text around
BLANK = {  # letters and marks that show nothing either
    *"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0",
    *map(chr, range(0xFE00, 0xFE10)),
    *map(chr, range(0xE0100, 0xE01F0)),
}
SKIN_TONES = set(map(chr, range(0x1F3FB, 0x1F400)))
SLUG = 60  # characters
SLUG_STEM = 50  # characters, which leaves ten for a number
RANDOM = 6  # bytes at the end of a private room's slug, so that no collision tells of a room one may not see
TRIES = 5  # to find a slug that nobody takes at the same moment
OWN = ["name", "username", "password", "is_guest"]  # what signing up changes; staff may change the rest meanwhile
LONGEST_INPUT = 1000  # characters; normalising may make eighteen of one


class LineField(forms.CharField):
    """One line as it will be shown: NFKC, single spaces, nothing invisible."""

    default_error_messages = {"required": "Please write something here."}

    def to_python(self, value: Any) -> str:
        text = str(value or "")
        if len(text) > LONGEST_INPUT:
            raise ValidationError(f"That is too long: at most {self.max_length} characters, please.")
        return " ".join(unicodedata.normalize("NFKC", text).split())

    def validate(self, value: str) -> None:
        super().validate(value)
        if invisible(value):
            raise ValidationError("Invisible and control characters cannot be used here.")
        if unicodedata.category(value[:1] or "a").startswith("M"):
            raise ValidationError("An accent needs a letter before it.")


def invisible(text: str) -> bool:
    """Whether something in `text` cannot be seen. What joins emoji is seen by its effect."""
    for before, char, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        hidden = char in BLANK or unicodedata.category(char) in REFUSED
        if hidden and not joins(before, char, after):
            return True
    return False


def joins(before: str, char: str, after: str) -> bool:
    """Whether a joiner stands where an emoji needs it."""
    symbol = unicodedata.category(before) == "So"
    if char == AS_EMOJI:
        return symbol
    toned = before == AS_EMOJI or before in SKIN_TONES
    return char == JOINER and (symbol or toned) and unicodedata.category(after) == "So"


class PersonForm(forms.Form):
    """Gives `person` the name, new or not."""

    name = LineField(max_length=40, error_messages={"required": "Please write a name."})

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        self.person.name, self.person.username = name, User.normalize_username(name)
        return name

    def save(self) -> bool:
        """False, and the form says why, where somebody else has the name."""
        try:
            with transaction.atomic():
                self.person.save(update_fields=OWN if self.person.pk else None)
        except IntegrityError:
            self.add_error("name", "That name is taken.")
            return False
        return True


class GuestForm(PersonForm):
    def save(self) -> bool:
        self.person.is_guest = True
        self.person.set_unusable_password()
        return super().save()


class SignUpForm(PersonForm):
    """A guest who signs up keeps the account, and with it the rooms and messages."""

    password1 = forms.CharField(
        label="Password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html(),
    )
    password2 = forms.CharField(
        label="Password, once more",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> None:
        password, again = self.cleaned_data.get("password1"), self.cleaned_data.get("password2")
        if password and again and password != again:
            self.add_error("password2", "The two passwords differ.")
        elif password:
            try:
                validate_password(password, self.person)
            except ValidationError as error:
                self.add_error("password1", error)

    def save(self) -> bool:
        self.person.is_guest = False
        self.person.set_password(self.cleaned_data["password1"])
        return super().save()


class LogInForm(AuthenticationForm):
    """Whatever spelling of the name: "ANN" is "ann"."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "That name and password do not fit together. Capitals matter in the password only.",
    }

    def clean_username(self) -> str:
        return User.normalize_username(self.cleaned_data["username"])


class RoomForm(forms.Form):
    name = LineField(max_length=60, error_messages={"required": "Please give the room a name."})
    description = LineField(max_length=200, required=False)
    is_private = forms.BooleanField(required=False)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not slugify(name, allow_unicode=True).strip("-_"):
            raise ValidationError("The name needs a letter or a number, for the room's address.")
        return name

    def save(self, creator: User) -> Room:
        """The new room. Its slug is the name's, or the first of slug-2, slug-3, … that is free.

        A private room's has a random end instead of a number.
        """
        name, description = self.cleaned_data["name"], self.cleaned_data["description"]
        private = self.cleaned_data["is_private"]
        slug = slugify(name, allow_unicode=True)
        for _ in range(TRIES):
            try:
                return rooms.create(creator.pk, name, description, secret(slug) if private else free(slug), private)
            except IntegrityError:
                continue  # somebody was quicker: look again
        raise IntegrityError(f"no free slug like {slug} in {TRIES} tries")


def secret(slug: str) -> str:
    """`slug`, shortened, with an end that nobody guesses."""
    end = secrets.token_hex(RANDOM)
    return f"{slug[: SLUG - len(end) - 1].rstrip('-_')}-{end}"


def free(slug: str) -> str:
    """`slug`, shortened and numbered as need be."""
    stem = slug[:SLUG_STEM].rstrip("-_")
    taken = set(Room.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    numbered = (f"{stem}-{number}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([stem], numbered) if candidate not in taken)
