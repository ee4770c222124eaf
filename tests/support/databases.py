"""Databases with the gateway's schema, made once and copied for each test."""

import datetime as dt

import asyncpg
from tests.support.servers import PostgresServer

from vigil_gateway.migrations.upgrade import upgrade
from vigil_gateway.storage.postgres import partitions


async def migrated(server: PostgresServer, *moments: dt.datetime) -> str:
    """Make a database with the newest schema, and partitions for these months and those after them; return its name.

    It is a template for `PostgresServer.new_database` as long as nobody is connected to it.
    """
    url = await server.new_database()
    await upgrade(url)
    connection = await asyncpg.connect(url)
    try:
        months = {partitions.month_of(moment) for moment in moments}
        await partitions.ensure(connection, months | {partitions.following(month) for month in months})
    finally:
        await connection.close()
    return name_of(url)


async def drop(server: PostgresServer, url: str) -> None:
    """Remove a database, also while clients are connected to it."""
    connection = await asyncpg.connect(server.admin_url)
    try:
        await connection.execute(f"DROP DATABASE {name_of(url)} WITH (FORCE)")
    finally:
        await connection.close()


def name_of(url: str) -> str:
    """Return the name of the database at an address."""
    return url.rpartition("/")[2]
