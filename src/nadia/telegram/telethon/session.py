"""What Telethon asks of a session, from what NADIA keeps itself; nothing is written back."""

from collections.abc import Iterable
from datetime import UTC, datetime

from telethon.crypto import AuthKey
from telethon.sessions import MemorySession
from telethon.tl.types.updates import State as UpdatesState

from nadia.telegram.errors import GatewayError
from nadia.telegram.gateway import JSON, State
from nadia.telegram.session_material import DataCentre, SessionMaterial


class HeldSession(MemorySession):  # type: ignore[misc]  # Telethon is untyped
    """A session that begins from what is stored and lives as long as its connection.

    Telethon writes its update state and every entity, phone numbers and all, to the session each minute, whether or
    not anything was done with them; here neither is taken.

    Parameters
    ----------
    material : SessionMaterial, optional
        The account; None for a log-in, which agrees on a new key.
    data_centre : DataCentre, optional
        Where to connect to, if not where the account was logged in or at Telegram's own address.
    updates_state : telethon.tl.types.updates.State, optional
        Where to go on reading updates.
    """

    def __init__(
        self,
        *,
        material: SessionMaterial | None,
        data_centre: DataCentre | None,
        updates_state: UpdatesState | None = None,
    ) -> None:
        super().__init__()
        # Where a test centre has sent the account on to another one, that one's address came with the log-in.
        is_elsewhere = material is not None and data_centre is not None and data_centre.dc_id != material.dc_id
        place = material if is_elsewhere else data_centre or material
        if place is not None:
            self.set_dc(place.dc_id, place.host, place.port)
        if material is not None:
            self.auth_key = AuthKey(material.auth_key)
        self._updates_state = updates_state

    def get_update_states(self) -> Iterable[tuple[int, UpdatesState]]:
        """Return where to go on; 0 stands for the account itself, as opposed to its channels."""
        return [] if self._updates_state is None else [(0, self._updates_state)]

    def set_update_state(self, entity_id: int, state: UpdatesState) -> None:
        """Ignore a state that Telethon has reached and nobody has committed."""

    def process_entities(self, tlo: object) -> None:
        """Ignore whom an answer mentions: the resolver is told by those who know what is worth keeping."""


def read_state(state: State | None, *, user_id: int) -> UpdatesState | None:
    """Return a stored state as Telethon wants it; None if there is none to go on from, or if it is another user's.

    Raises
    ------
    GatewayError
        If it is no state of Telegram's.
    """
    if state is None or state.get("user_id", user_id) != user_id:
        return None
    pts, qts, seq, date = (_number(state.get(name)) for name in ("pts", "qts", "seq", "date"))
    if not pts:  # Telethon would begin anew, and not say so
        return None
    return UpdatesState(pts=pts, qts=qts, seq=seq, date=datetime.fromtimestamp(date, UTC), unread_count=0)


def write_state(*, user_id: int, pts: int, qts: int, seq: int, date: datetime) -> State:
    """Return a state that can be stored."""
    return {"user_id": user_id, "pts": pts, "qts": qts, "seq": seq, "date": int(date.timestamp())}


def _number(value: JSON) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise GatewayError(
            "the stored state is not one of Telegram's",
            hint="it has to be like {'pts': 17, 'qts': 0, 'seq': 1, 'date': 1700000000}",
        )
    return value
