"""The panel's pages beside the lists: under /admin/, for staff."""

from django.contrib import admin
from django.urls import path

from . import views

app_name = "admin_panel"

urlpatterns = [
    path("endpoints/", admin.site.admin_view(views.endpoints), name="endpoints"),
    path("console/", admin.site.admin_view(views.console), name="console"),
    path("orders/<slug:name>/", admin.site.admin_view(views.order), name="order"),
]
