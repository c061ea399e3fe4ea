"""Staff, made on a server's database, and logged in over HTTP."""

from tests.helpers import Server, browser, submit, unique

PASSWORD = "a-long-enough-one"
MAKE = """
from django.contrib.auth import get_user_model
user = get_user_model().objects.create_user({name!r}, password={password!r}, is_staff={staff})
print(json.dumps(user.pk))
"""


def person(server: Server, staff: bool) -> tuple[str, str]:
    """(username, Cookie header) of somebody with a password."""
    name = unique("person")
    server.python(MAKE.format(name=name, password=PASSWORD, staff=staff))
    with browser(server.url) as asking:
        asking.get("/accounts/login/").raise_for_status()
        submit(asking, "/accounts/login/", username=name, password=PASSWORD)
        return name, "; ".join(f"{key}={value}" for key, value in asking.cookies.items())
