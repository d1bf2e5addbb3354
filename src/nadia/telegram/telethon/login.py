"""Logging in to Telegram and out of it: by code, by QR, with a bot token, and with the password of a second step.

The questions that Telegram has are a person's to answer; whoever asks them implements `Questions`. What belongs to a
log-in (the number, codes, the password, tokens) is handed on to Telegram and kept nowhere.
"""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from pydantic import SecretStr
from telethon import TelegramClient, errors, events, functions, types
from telethon.errors.common import AuthKeyNotFound
from telethon.password import compute_check
from telethon.tl import TLObject, TLRequest

from nadia.errors import ConfigurationError, InvalidInputError, RefusedError
from nadia.telegram.errors import AccountRevokedError, GatewayDisconnectedError
from nadia.telegram.session_material import ApiCredentials, DataCentre, SessionMaterial
from nadia.telegram.telethon.client import new_client
from nadia.telegram.telethon.errors import translate
from nadia.telegram.telethon.session import HeldSession

MOST_TRIES: Final = 3
"""Wrong codes or passwords in one log-in; Telegram's own limit follows soon after, and locks for hours."""

_MOST_QR_TOKENS: Final = 20
"""About ten minutes: each is good for 30 s (core.telegram.org/api/qr-login)."""

_LONGEST_QR_WAIT_SECONDS: Final = 30.0
_PHONE: Final = re.compile(r"[0-9]{7,15}")
"""Digits of a number with its country code (ITU E.164)."""

_BOT_TOKEN: Final = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{20,100}")


_UNREACHABLE_HINT: Final = "is this machine connected, and is NADIA_TELEGRAM_DC_ADDRESS right, if it is set?"


class LogInRefusedError(RefusedError):
    """Telegram does not let this log-in go on."""


class Questions(Protocol):
    """A person who logs an account in."""

    async def phone(self) -> str:
        """Return the account's number with its country code."""

    async def code(self, *, where: str) -> str:
        """Return the code that Telegram has sent; ``where`` says how, such as ``by SMS``."""

    async def password(self, *, hint: str | None) -> str:
        """Return the password of two-step verification; ``hint`` is what the account's owner left for it."""

    async def tell(self, sentence: str) -> None:
        """Say why the next question comes."""

    async def show_link(self, link: str) -> None:
        """Show a ``tg://login`` link as a QR code, until the next one."""


class LogIn:
    """One log-in, on a connection of its own.

    Parameters
    ----------
    client : TelegramClient
        Connected, and nobody yet.
    api : ApiCredentials
        The application that asks.
    request_timeout : float
        Longest wait for an answer of Telegram's, seconds.
    """

    def __init__(self, *, client: TelegramClient, api: ApiCredentials, request_timeout: float) -> None:
        self._client = client
        self._api = api
        self._request_timeout = request_timeout
        self.is_kept = False
        """Set once the session is on record; one that is not is ended at Telegram."""

    async def by_code(self, ask: Questions, *, phone: str | None = None) -> SessionMaterial:
        """Log a user account in with the code that Telegram sends it.

        Parameters
        ----------
        ask : Questions
            The person.
        phone : str, optional
            The account's number; asked for when absent.

        Raises
        ------
        InvalidInputError
            If the number is none, or no account has it.
        LogInRefusedError
            If Telegram does not let it go on: wrong codes, a pause that it asks for, a banned number.
        GatewayDisconnectedError
            If Telegram cannot be reached.
        ConfigurationError
            If it does not know the application.
        """
        number = _digits(phone if phone is not None else await ask.phone())
        with _translated():
            sent = await self._send_code(number)
            for tries_left in reversed(range(MOST_TRIES)):
                code = _without_gaps(await ask.code(where=_where(sent.type)))
                try:
                    return self._logged_in(
                        await self._call(functions.auth.SignInRequest(number, sent.phone_code_hash, code))
                    )
                except errors.SessionPasswordNeededError:
                    return await self._enter_password(ask)
                except (errors.PhoneCodeInvalidError, errors.PhoneCodeEmptyError):
                    await ask.tell(f"That is not the code; {_tries(tries_left)}.")
                except errors.PhoneCodeExpiredError:
                    if tries_left:
                        await ask.tell("That code has expired; Telegram sends another one.")
                        sent = await self._send_code(number)
        raise LogInRefusedError(
            f"{MOST_TRIES} codes were wrong or too old", hint="begin again, and use the newest code only"
        )

    async def by_qr(self, ask: Questions) -> SessionMaterial:
        """Log a user account in by a code that its phone scans; raises what `by_code` does."""
        scanned = asyncio.Event()

        async def on_update(_update: object) -> None:
            scanned.set()

        self._client.add_event_handler(on_update, events.Raw(types.UpdateLoginToken))
        request = functions.auth.ExportLoginTokenRequest(
            self._api.api_id, self._api.api_hash.get_secret_value(), except_ids=[]
        )
        shown: set[bytes] = set()
        with _translated():
            while len(shown) <= _MOST_QR_TOKENS:
                scanned.clear()
                try:
                    answer = await self._call(request)
                    if isinstance(answer, types.auth.LoginTokenMigrateTo):
                        await self._client._switch_dc(answer.dc_id)  # as Telethon's own QRLogin does
                        answer = await self._call(functions.auth.ImportLoginTokenRequest(answer.token))
                except errors.SessionPasswordNeededError:
                    return await self._enter_password(ask)
                if isinstance(answer, types.auth.LoginTokenSuccess):
                    return self._logged_in(answer.authorization)
                if answer.token not in shown:
                    shown.add(answer.token)
                    await ask.show_link(
                        f"tg://login?token={base64.urlsafe_b64encode(answer.token).decode().rstrip('=')}"
                    )
                # By this machine's clock, which may be wrong: asked at least so often, and not at once.
                left = (answer.expires - datetime.now(UTC)).total_seconds()
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(max(left, 1.0), _LONGEST_QR_WAIT_SECONDS)):
                        await scanned.wait()
        raise LogInRefusedError("nobody scanned the code", hint="begin again, with the phone at hand")

    async def by_bot_token(self, token: SecretStr) -> SessionMaterial:
        """Log a bot in; raises what `by_code` does."""
        value = token.get_secret_value().strip()
        if not _BOT_TOKEN.fullmatch(value):
            raise InvalidInputError(
                "is not one of @BotFather's tokens", field="bot token", hint="it looks like 123:ABC…"
            )
        request = functions.auth.ImportBotAuthorizationRequest(
            flags=0, api_id=self._api.api_id, api_hash=self._api.api_hash.get_secret_value(), bot_auth_token=value
        )
        with _translated():
            return self._logged_in(await self._call(request))

    async def undo(self) -> None:
        """End at Telegram what may have begun there."""
        if not self._client.is_connected():
            return
        with suppress(errors.RPCError, OSError, EOFError):
            await self._call(functions.auth.LogOutRequest())

    async def _send_code(self, number: str) -> types.auth.SentCode:
        request = functions.auth.SendCodeRequest(
            number, self._api.api_id, self._api.api_hash.get_secret_value(), types.CodeSettings()
        )
        sent = await self._call(request)
        if not isinstance(sent, types.auth.SentCode) or isinstance(
            sent.type, types.auth.SentCodeTypeSetUpEmailRequired
        ):
            raise LogInRefusedError(
                "Telegram wants more than a code from this account", hint="log in once with an official app, then again"
            )
        return sent

    async def _enter_password(self, ask: Questions) -> SessionMaterial:
        for tries_left in reversed(range(MOST_TRIES)):
            challenge = await self._call(functions.account.GetPasswordRequest())
            answer = compute_check(challenge, await ask.password(hint=challenge.hint or None))
            try:
                return self._logged_in(await self._call(functions.auth.CheckPasswordRequest(answer)))
            except (errors.PasswordHashInvalidError, errors.SrpIdInvalidError):
                await ask.tell(f"That is not the password of two-step verification; {_tries(tries_left)}.")
        raise LogInRefusedError(
            f"{MOST_TRIES} passwords were wrong",
            hint="an official app lets you reset it: Settings, Privacy and Security",
        )

    def _logged_in(self, answer: TLObject) -> SessionMaterial:
        if not isinstance(answer, types.auth.Authorization):
            raise InvalidInputError(
                "no Telegram account has this number", field="phone", hint="make one with an official app first"
            )
        session = self._client.session
        return SessionMaterial(
            dc_id=session.dc_id,
            host=session.server_address,
            port=session.port,
            auth_key=session.auth_key.key,
            user_id=answer.user.id,
            is_bot=bool(answer.user.bot),
        )

    async def _call(self, request: TLRequest) -> TLObject:
        try:
            return await self._ask(request)
        except (errors.InvalidDCError, errors.AuthRestartError):
            return await self._ask(request)  # Telethon has moved to the account's data centre by now
        except TimeoutError:
            raise
        except (OSError, EOFError):
            return await self._ask(request)  # a person takes longer to answer than some links live

    async def _ask(self, request: TLRequest) -> TLObject:
        if not self._client.is_connected():
            await _outcome(self._client.connect(), within=2 * self._request_timeout)
        return await _outcome(self._client(request), within=self._request_timeout)


@asynccontextmanager
async def logging_in(
    api: ApiCredentials, data_centre: DataCentre | None, *, request_timeout: float
) -> AsyncIterator[LogIn]:
    """Connect for a log-in; whatever came of one that is not kept is ended at Telegram.

    Raises
    ------
    GatewayDisconnectedError
        If Telegram cannot be reached.
    """
    async with _connected(api, data_centre, None, request_timeout=request_timeout) as client:
        log_in = LogIn(client=client, api=api, request_timeout=request_timeout)
        try:
            yield log_in
        finally:
            if not log_in.is_kept:
                await log_in.undo()


async def log_out(
    material: SessionMaterial, api: ApiCredentials, data_centre: DataCentre | None, *, request_timeout: float
) -> bool:
    """End a session at Telegram; False if it was at its end already.

    Raises
    ------
    GatewayDisconnectedError
        If Telegram cannot be reached.
    """
    try:
        async with _connected(api, data_centre, material, request_timeout=request_timeout) as client:
            with _translated():
                await _outcome(client(functions.auth.LogOutRequest()), within=request_timeout)
    except AccountRevokedError:
        return False
    return True


@asynccontextmanager
async def _connected(
    api: ApiCredentials, data_centre: DataCentre | None, material: SessionMaterial | None, *, request_timeout: float
) -> AsyncIterator[TelegramClient]:
    client = new_client(
        TelegramClient,
        session=HeldSession(material=material, data_centre=data_centre),
        api=api,
        request_timeout=request_timeout,
        public_key=data_centre.public_key if data_centre else None,
    )
    try:
        with _translated():
            await _outcome(client.connect(), within=2 * request_timeout)  # a key is agreed upon, in several round trips
        yield client
    finally:
        await client.disconnect()
        with suppress(Exception):  # why it ended, which has been told; nobody else would ask for it
            await client.disconnected


async def _outcome(work: Coroutine[Any, Any, Any], *, within: float) -> Any:
    """Wait so many seconds for something that Telethon does.

    In a task of its own: when Telethon hangs up, it cancels those who wait, and they are not to take it for their end.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=within)
        if not task.done():
            raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        raise ConnectionResetError("Telethon hung up")
    return task.result()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what Telethon raises into what a person can act on."""
    try:
        yield
    except (errors.FloodWaitError, errors.FloodPremiumWaitError, errors.FloodTestPhoneWaitError) as exc:
        raise LogInRefusedError(
            f"Telegram asks to wait {_duration(exc.seconds)} before the next attempt",
            hint="nothing shortens it; every attempt before may prolong it",
        ) from exc
    except (errors.PhoneNumberFloodError, errors.PhonePasswordFloodError) as exc:
        raise LogInRefusedError(
            "Telegram saw too many log-ins with this number", hint="try again tomorrow, or log in with --qr"
        ) from exc
    except errors.PhoneNumberInvalidError as exc:
        raise _wrong_number() from exc
    except errors.PhoneNumberUnoccupiedError as exc:
        raise InvalidInputError(
            "no Telegram account has this number", field="phone", hint="make one with an official app first"
        ) from exc
    except (errors.PhoneNumberBannedError, errors.UserDeactivatedBanError, errors.UserDeactivatedError) as exc:
        raise LogInRefusedError(
            "Telegram has banned this account", hint="its owner may write to recover@telegram.org"
        ) from exc
    except (errors.AccessTokenInvalidError, errors.AccessTokenExpiredError) as exc:
        raise LogInRefusedError(
            "Telegram does not know this bot token", hint="@BotFather shows the one that holds: /mybots, API Token"
        ) from exc
    except (errors.ApiIdInvalidError, errors.ConnectionApiIdInvalidError, errors.ApiIdPublishedFloodError) as exc:
        raise ConfigurationError(
            "Telegram does not accept API_ID and API_HASH", hint="compare them with https://my.telegram.org"
        ) from exc
    except TimeoutError as exc:
        raise GatewayDisconnectedError("Telegram does not answer", hint=_UNREACHABLE_HINT) from exc
    except (errors.RPCError, OSError, EOFError, BufferError, AuthKeyNotFound) as exc:
        problem = translate(exc)
        if isinstance(problem, GatewayDisconnectedError):
            problem.hint = _UNREACHABLE_HINT
        raise problem from exc


def _digits(phone: str) -> str:
    digits = re.sub(r"[\s()+.-]", "", phone)
    if not _PHONE.fullmatch(digits):
        raise _wrong_number()
    return digits


def _without_gaps(code: str) -> str:
    digits = re.sub(r"[\s-]", "", code)
    return digits if digits.isdigit() else code.strip()  # a word or a phrase, which some codes are


def _wrong_number() -> InvalidInputError:
    return InvalidInputError(
        "is no phone number", field="phone", hint="write it with its country code: +1 202 555 0123"
    )


def _where(kind: TLObject) -> str:
    match kind:
        case types.auth.SentCodeTypeApp():
            return "in Telegram, on a device where the account is logged in"
        case types.auth.SentCodeTypeCall():
            return "by a phone call"
        case types.auth.SentCodeTypeFlashCall() | types.auth.SentCodeTypeMissedCall():
            return "by a missed call: it is the end of the caller's number"
        case types.auth.SentCodeTypeEmailCode():
            return "by e-mail"
        case types.auth.SentCodeTypeFragmentSms():
            return "at fragment.com"
        case types.auth.SentCodeTypeSmsWord() | types.auth.SentCodeTypeSmsPhrase():
            return "by SMS, in words"
        case _:
            return "by SMS"


def _tries(left: int) -> str:
    return "that was the last try" if left == 0 else "one try is left" if left == 1 else f"{left} tries are left"


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{rest} s" if rest else ""]
    return " ".join(part for part in parts if part) or "0 s"
