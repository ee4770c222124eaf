"""Run `kopf.operator()`: the one process and the one event loop in which everything of the operator lives."""

import asyncio
from typing import Final

import kopf

from vigil_operator import handlers
from vigil_operator.factory import build
from vigil_operator.program import Program
from vigil_operator.settings import Settings

HTTP_NOT_FOUND: Final = 404
CHECK_CRDS: Final = "check that the CRDs are installed: kubectl apply -f crds/"
CHECK_LOGIN: Final = "check the token of the operator's service account, or the kubeconfig"
CHECK_ACCOUNT: Final = "check that the operator's service account may list and watch cameras, subjects and sites"


class KopfEndedError(Exception):
    """kopf cannot watch Vigil's kinds any longer; the message has the cause and what to check."""


async def serve(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT.

    Raises
    ------
    ConfigError
        No API server is configured.
    KopfEndedError
        A CRD is gone, the login failed, or the API server refused to serve for several minutes.
    KindsChangedError
        The API server serves other kinds of Vigil than at the start.
    LeaseLostError
        Another operator may be at work.
    ListenError
        The HTTP port is taken.
    """
    stop = asyncio.Event()
    program = Program(await build(settings), settings, stop)
    try:
        await kopf.operator(
            registry=kopf.get_default_registry(),
            memo=kopf.Memo(program=program),
            stop_flag=stop,
            namespaces=list(settings.served_namespaces),
            clusterwide=not settings.served_namespaces,
        )
    except Exception as error:
        if program.error is None:
            raise KopfEndedError(_explain(error)) from error
    if program.error is not None:
        raise program.error


def _explain(error: Exception) -> str:
    if isinstance(error, kopf.LoginError):  # its text advises to install libraries
        return (
            f"the API server refuses the operator's credentials ({error.__cause__ or 'there are none'}); {CHECK_LOGIN}"
        )
    check = CHECK_CRDS if getattr(error, "status", None) == HTTP_NOT_FOUND else CHECK_ACCOUNT
    return f"kopf cannot watch Vigil's kinds any longer ({type(error).__name__}: {error}); {check}"


__all__ = ["KopfEndedError", "handlers", "serve"]
