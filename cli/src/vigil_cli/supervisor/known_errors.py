"""Causes of failed starts, recognised by the output of the program."""

from collections.abc import Iterable

KNOWN = {
    "no space left on device": "the disk is full; make room",
    "disk quota exceeded": "the disk quota is used up; make room",
    "read-only file system": "its folder is on a read-only file system; choose another state folder",
    "address already in use": "its port is taken by another program; end that one or choose another port",
    "permission denied": "it may not read or write one of its files; correct the owner and rights of the folder",
    "cannot allocate memory": "there is not enough memory for it",
    "too many open files": "it may not open enough files; raise the limit with: ulimit -n 4096",
}


def explain(lines: Iterable[str]) -> str:
    """Return the cause that the newest of these lines names; empty when no cause is known."""
    for line in reversed(list(lines)):
        low = line.lower()
        for words, meaning in KNOWN.items():
            if words in low:
                return meaning
    return ""
