"""The chat of the Channels tutorial, as short as it gets: what the fan-out is compared with."""
