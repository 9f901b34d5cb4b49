"""What can go wrong with the embedded server; every message says what to do."""


class EmbeddedFailure(Exception):
    """The embedded PostgreSQL cannot be started, joined or stopped."""


class OwnedElsewhere(EmbeddedFailure):
    """Another process holds the data directory and runs its server."""
