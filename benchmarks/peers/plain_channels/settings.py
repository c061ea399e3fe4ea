"""The least that a Channels project needs."""

SECRET_KEY = "of a benchmark"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = __name__  # it serves no page
urlpatterns: list[object] = []
INSTALLED_APPS = ["channels"]
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels.layers.InMemoryChannelLayer",
        "CONFIG": {"capacity": 10_000},  # enough: a full channel would drop messages in silence
    },
}
