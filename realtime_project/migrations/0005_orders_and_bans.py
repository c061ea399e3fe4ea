import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("realtime_project", "0004_figures"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="connection",
            options={
                "default_permissions": ["view"],
                "permissions": [
                    ("close_connection", "Can close connections"),
                    ("message_connection", "Can send a message to one connection"),
                    ("tail_connection", "Can watch the frames of a connection"),
                ],
            },
        ),
        migrations.AlterModelOptions(
            name="server",
            options={
                "default_permissions": ["view"],
                "permissions": [
                    ("drain_server", "Can have a server leave"),
                    ("announce_server", "Can announce to everyone"),
                ],
            },
        ),
        migrations.AlterModelOptions(
            name="topichead",
            options={"default_permissions": ["view"], "permissions": [("publish_topichead", "Can publish to a topic")]},
        ),
        migrations.CreateModel(
            name="Ban",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.CharField(max_length=50, null=True)),
                ("until", models.DateTimeField(db_index=True)),
                ("why", models.CharField(default="", max_length=200)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "default_permissions": ["view", "add", "delete"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("user", None), ("address", None), _connector="XOR"),
                        name="a_ban_is_of_a_user_or_an_address",
                    )
                ],
            },
        ),
    ]
