"""The first life of this database's logs."""

from typing import Any

from django.db import migrations


def begin(apps: Any, schema_editor: Any) -> None:
    apps.get_model("realtime_project", "Epoch").objects.get_or_create(pk=1)  # the row that history.epoch() looks for


class Migration(migrations.Migration):
    dependencies = [("realtime_project", "0001_initial")]
    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
