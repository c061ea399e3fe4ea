"""An app that notes how long the event loop of its server is held."""
