"""The pages on which staff watch actors, beside the lists: under /admin/."""

from django.contrib import admin
from django.urls import path

from . import watching

app_name = "actors"

urlpatterns = [
    path("diagrams/", admin.site.admin_view(watching.diagrams), name="diagrams"),
    path("recordings/replay/", admin.site.admin_view(watching.replayed), name="replay"),
    path("recordings/<str:id>/export/", admin.site.admin_view(watching.exported), name="export"),
]
