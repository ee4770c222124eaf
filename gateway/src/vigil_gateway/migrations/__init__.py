"""The schema of Postgres, step by step and forward only.

There are no steps down, because they would discard what was written since; to undo a release, restore the database.
Steps only add or widen, so that the programs of the release before continue while the new ones start.

`upgrade` takes the steps and needs alembic; `check`, which every program runs at its start, does not.
"""
