"""What can be wrong with a test cluster."""


class ClusterError(Exception):
    """A cluster, or a part of it, that is not available; the text names it, the reason and the log to read."""


class NotHereError(ClusterError):
    """Something that has to be on this machine is not (root, a Debian package); the text names it."""
