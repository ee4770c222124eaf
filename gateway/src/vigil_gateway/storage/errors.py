"""The errors of all stores. Trying again later may cure each of them.

StorageError
├── DatabaseError
│   ├── DatabaseAwayError
│   └── DatabaseSlowError
└── GalleryError
"""


class StorageError(Exception):
    """A store did not do what it was asked."""


class DatabaseError(StorageError):
    """Postgres did not answer as it should."""


class DatabaseAwayError(DatabaseError):
    """Postgres cannot be reached, or the connection was lost."""


class DatabaseSlowError(DatabaseError):
    """Postgres did not answer within the deadline."""


class GalleryError(StorageError):
    """The gallery did not answer as it should."""
