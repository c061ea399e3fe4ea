from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actors", "0004_outbound_clients"),
    ]

    operations = [
        migrations.AddField(
            model_name="actorsession",
            name="holder",
            field=models.CharField(default="", max_length=50),
        ),
        migrations.AddIndex(
            model_name="actorsession",
            index=models.Index(fields=["holder"], name="sessions_of_a_holder"),
        ),
        migrations.AddIndex(
            model_name="actorsession",
            index=models.Index(fields=["server"], name="sessions_of_a_server"),
        ),
    ]
