from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("realtime_project", "0005_orders_and_bans"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="connection",
            options={
                "default_permissions": ["view"],
                "permissions": [
                    ("close_connection", "Can close connections"),
                    ("stop_connection", "Can stop actors"),
                    ("message_connection", "Can send a message to one connection"),
                    ("tail_connection", "Can watch the frames of a connection"),
                ],
                "verbose_name": "client",
            },
        ),
        migrations.AlterModelOptions(
            name="topichead",
            options={
                "default_permissions": ["view"],
                "permissions": [("publish_topichead", "Can publish to a topic")],
                "verbose_name": "topic",
            },
        ),
        migrations.AddField(
            model_name="connection",
            name="rate_in",
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="connection",
            name="rate_out",
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="connection",
            name="unsent",
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
    ]
