"""An app whose actors are measured."""
