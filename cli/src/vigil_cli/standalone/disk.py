"""Watch the disk of the state folder."""

import asyncio
from collections.abc import Awaitable, Callable

from vigil_cli.dashboard import DashboardState
from vigil_cli.standalone.state import StateFolder

POLL_S = 5


async def watch_disk(
    state: StateFolder, dashboard: DashboardState, restart_nats: Callable[[], Awaitable[None]]
) -> None:
    """Show an error while the disk is almost full, and restart NATS afterwards, until cancelled.

    After a full disk a NATS server accepts no event until it is restarted, even when there is room again.
    """
    full = False
    while True:
        error = await asyncio.to_thread(state.disk_error)
        if error:
            dashboard.notices["disk"] = ("error", error)
            if not full:
                dashboard.emit("error", error)
        elif full:
            dashboard.notices.pop("disk", None)
            dashboard.emit("good", f"The disk of {state.root} has room again; NATS is restarted")
            await restart_nats()
        full = bool(error)
        await asyncio.sleep(POLL_S)
