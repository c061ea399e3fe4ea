from django.db import migrations


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("realtime_project", "0005_orders_and_bans"),
    ]

    operations = [
        migrations.CreateModel(
            name="Actor",
            fields=[],
            options={
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("realtime_project.connection",),
        ),
    ]
