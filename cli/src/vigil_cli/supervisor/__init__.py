"""Child processes: started in order, restarted after each end, and ended together with this process."""

from vigil_cli.supervisor.interruption import until_interrupted
from vigil_cli.supervisor.orphans import end_orphans
from vigil_cli.supervisor.spec import ProcessSpec, ProcessState, ProcessStatus, StartError
from vigil_cli.supervisor.supervisor import Supervisor

__all__ = [
    "ProcessSpec",
    "ProcessState",
    "ProcessStatus",
    "StartError",
    "Supervisor",
    "end_orphans",
    "until_interrupted",
]
