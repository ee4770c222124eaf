"""What can be wrong with a test cluster."""


class ClusterError(Exception):
    """A cluster, or a part of it, that is not to be had; the text says which, why, and where more is to be read."""


class NotHereError(ClusterError):
    """Something that has to be on this machine is not (root, a Debian package); the text names it."""
