"""The live side of the API: from events on the bus to subscribers, each sent once and in order.

Every match event of the site has a `seq` that is gap-free and in order of commit. The feed reads them from Postgres as
soon as NATS says that there are new ones, so that its log in memory never has a hole, and holds nothing that was made
up on the bus. A subscriber is but a position in that order: what it has not yet been sent waits in the shared log, and
what has left the log is read from Postgres, at the subscriber's own pace. Memory is therefore bounded by the log,
however many subscribers there are and however slowly they read.
"""
