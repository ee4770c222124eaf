"""The schema of Postgres, step by step and forward only.

A step is never taken back: a release that must be undone is undone by restoring the database, because a step down would
throw away what was written since. Steps only add or widen, so that the programs of the release before go on working
while the new ones start.

`upgrade` takes the steps and needs alembic; `check`, which every program runs at its start, does not.
"""
