"""Child processes that are started in order, restarted when they die, and never left behind."""

from vigil_cli.standalone.supervisor.interruption import until_interrupted
from vigil_cli.standalone.supervisor.spec import ProcessSpec, ProcessState, ProcessStatus, StartError
from vigil_cli.standalone.supervisor.strays import end_strays
from vigil_cli.standalone.supervisor.supervisor import Supervisor

__all__ = [
    "ProcessSpec",
    "ProcessState",
    "ProcessStatus",
    "StartError",
    "Supervisor",
    "end_strays",
    "until_interrupted",
]
