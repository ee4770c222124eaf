"""The errors of all stores. Another attempt later may succeed after each of them.

StorageError
├── DatabaseError
│   ├── DatabaseAwayError
│   └── DatabaseSlowError
└── GalleryError
"""


class StorageError(Exception):
    """A store failed."""


class DatabaseError(StorageError):
    """Postgres failed."""


class DatabaseAwayError(DatabaseError):
    """Postgres cannot be reached, or the connection was lost."""


class DatabaseSlowError(DatabaseError):
    """Postgres did not answer within the deadline."""


class GalleryError(StorageError):
    """The gallery failed."""
