"""What staff see of the cluster, and do to it."""

from django.apps import AppConfig


class AdminPanelConfig(AppConfig):
    name = "admin_panel"
    verbose_name = "Realtime"
    default_auto_field = "django.db.models.BigAutoField"
