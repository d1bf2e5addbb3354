"""What the probes of Telegram accounts know: one statement, which those that ask at the same moment share."""

from collections.abc import Sequence

from nadia.health.postgres_reading import Connect, asking
from nadia.shared_calls import SharedCalls
from nadia.telegram.account_status import AccountStatus, overview


class AccountReader:
    """Reads the accounts in use: of the network that NADIA is set to, and not logged out of by a person.

    Parameters
    ----------
    connect : callable
        Yields a connection.
    network : str
        ``sandbox`` or ``telegram``.
    sandbox_account : str
        The one account that a bot acts for in the sandbox.
    """

    def __init__(self, *, connect: Connect, network: str, sandbox_account: str) -> None:
        self._connect = connect
        self._network = network
        self._sandbox_account = sandbox_account
        self._calls: SharedCalls[str, Sequence[AccountStatus]] = SharedCalls()

    @property
    def expected(self) -> Sequence[str]:
        """The accounts that there ought to be, whether on record or not."""
        return (self._sandbox_account,) if self.is_sandbox else ()

    @property
    def is_sandbox(self) -> bool:
        """Whether nobody logs in, because the network is the sandbox."""
        return self._network == "sandbox"

    async def read(self) -> Sequence[AccountStatus]:
        """Return the accounts by name; those who ask at the same moment get the same reading.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away.
        """
        return await self._calls.run("accounts", self._read)

    async def _read(self) -> Sequence[AccountStatus]:
        async with asking(self._connect) as conn:
            return [account for account in await overview(conn) if self._is_in_use(account)]

    def _is_in_use(self, account: AccountStatus) -> bool:
        if account.network != self._network:
            return False
        return account.id == self._sandbox_account if self.is_sandbox else account.session in ("accepted", "revoked")
