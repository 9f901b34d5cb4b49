"""Due work: claims rows, runs use cases by kind, retries with back-off, gives up where it can be seen.

`handler` says which use case a kind of work runs. `wall` runs what falls due by the wall clock, `clock` what
falls due on a test clock while it advances: the same handlers, in time order. `loop` keeps both going.
"""
