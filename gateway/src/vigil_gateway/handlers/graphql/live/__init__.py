"""The live side of the API: from events on the bus to subscribers, each sent once and in order.

Every match event of the site has a `seq` that is gap-free and in order of commit. The feed takes events from NATS as
they come and reads whatever is missing from Postgres, so that its log in memory never has a hole. A subscriber is but a
position in that order: what it has not yet been sent waits in the shared log, and what has left the log is read from
Postgres, at the subscriber's own pace. Memory is therefore bounded by the log, however many subscribers
there are and however slowly they read.
"""
