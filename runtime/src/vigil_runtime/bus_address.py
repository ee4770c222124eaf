"""Where the bus of a site is, and how a program presents itself there."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BusCredentials:
    """The credentials of a client; the first that is set is presented.

    Attributes
    ----------
    file
        A credentials file of NATS. It is read for each connection, so that a new one takes effect without a restart.
    """

    file: Path | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def kind(self) -> str:
        """What is presented, in words."""
        if self.file is not None:
            return "credentials file"
        return "user and password" if self.user is not None else "token"

    @property
    def variable(self) -> str:
        """The variable to check when they are refused."""
        if self.file is not None:
            return "VIGIL_NATS_CREDENTIALS"
        return "VIGIL_NATS_USER and VIGIL_NATS_PASSWORD" if self.user is not None else "VIGIL_NATS_TOKEN"


@dataclass(frozen=True, slots=True)
class BusAddress:
    """The address of a site's bus.

    Attributes
    ----------
    url
        `nats://host:port`, without credentials.
    """

    url: str
    credentials: BusCredentials
    site: str
