"""Logging in and out: code, password, QR code, bot token (core.telegram.org/api/auth, /api/srp, /api/qr-login)."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from telethon.tl import functions, types

from support.leaks import handed_out
from support.mtproto.passwords import Verifier
from support.mtproto.rpc import Call, Handler, RpcFailure
from support.mtproto.views import push_of, user_view
from support.mtproto.world import Account, Authorization, Link, Message, World


def digits(phone: str) -> str:
    """A phone number as Telegram compares it."""
    return "".join(c for c in phone if c.isdigit())


@dataclass
class SentCode:
    """A code on its way to a phone."""

    code: str = field(repr=False)
    code_hash: str = field(repr=False)
    expired: bool = False


@dataclass
class LoginToken:
    """What a QR code holds; whoever scans it says who is logged in."""

    token: bytes = field(repr=False)
    expires: datetime
    authorization: Authorization = field(repr=False)
    link: Link = field(repr=False)
    accepted_by: Account | None = None


@dataclass
class Login:
    """Codes, tokens and passwords of the server, and the methods that use them."""

    world: World
    api_id: int
    api_hash: str = field(repr=False)
    codes: dict[str, SentCode] = field(default_factory=dict, repr=False)
    tokens: dict[bytes, LoginToken] = field(default_factory=dict, repr=False)
    verifiers: dict[Account, Verifier] = field(default_factory=dict, repr=False)
    token_seconds: float = 30
    """How long a QR code is good for (…/api/qr-login: "expires in 30 seconds")."""
    banned: set[str] = field(default_factory=set, repr=False)
    """Phones that Telegram has banned."""

    def methods(self) -> tuple[dict[type, Handler], dict[type, Handler]]:
        """Methods for everybody, and for those who are logged in."""
        everybody: dict[type, Handler] = {
            functions.auth.SendCodeRequest: self.send_code,
            functions.auth.ResendCodeRequest: self.resend_code,
            functions.auth.CancelCodeRequest: self.cancel_code,
            functions.auth.SignInRequest: self.sign_in,
            functions.auth.CheckPasswordRequest: self.check_password,
            functions.auth.ExportLoginTokenRequest: self.export_login_token,
            functions.auth.ImportLoginTokenRequest: self.import_login_token,
            functions.auth.ImportBotAuthorizationRequest: self.import_bot_authorization,
            functions.account.GetPasswordRequest: self.get_password,
        }
        logged_in: dict[type, Handler] = {
            functions.auth.AcceptLoginTokenRequest: self.accept_login_token,
            functions.auth.LogOutRequest: self.log_out,
        }
        return everybody, logged_in

    # code

    def send_code(self, call: Call, request: Any) -> Any:
        """Send a code: into the account's own chats where it is logged in elsewhere, by SMS otherwise."""
        self._check_api(request)
        phone = digits(request.phone_number)
        if not 7 <= len(phone) <= 15:
            raise RpcFailure(400, "PHONE_NUMBER_INVALID")
        if phone in self.banned:
            raise RpcFailure(400, "PHONE_NUMBER_BANNED")
        sent = SentCode(code=f"{secrets.randbelow(100_000):05}", code_hash=secrets.token_hex(9))
        self.codes[phone] = sent
        handed_out(sent.code_hash)
        handed_out(f"Login code: {sent.code}")
        account = self._account_of(phone)
        in_app = account is not None and any(self.world.authorizations_of(account))
        if account is not None and in_app:
            self._write_as_telegram(account, f"Login code: {sent.code}. Do not give this code to anyone.")
        kind = types.auth.SentCodeTypeApp if in_app else types.auth.SentCodeTypeSms
        return types.auth.SentCode(type=kind(length=5), phone_code_hash=sent.code_hash, timeout=60)

    def resend_code(self, call: Call, request: Any) -> Any:
        """Send the code again, by SMS."""
        sent = self._sent_code(request)
        return types.auth.SentCode(type=types.auth.SentCodeTypeSms(length=5), phone_code_hash=sent.code_hash)

    def cancel_code(self, call: Call, request: Any) -> Any:
        """Make the code worthless."""
        self._sent_code(request)
        del self.codes[digits(request.phone_number)]
        return True

    def sign_in(self, call: Call, request: Any) -> Any:
        """Log in with a code; a second factor may be wanted."""
        sent = self._sent_code(request)
        if not request.phone_code:
            raise RpcFailure(400, "PHONE_CODE_EMPTY")
        if request.phone_code != sent.code:
            raise RpcFailure(400, "PHONE_CODE_INVALID")
        phone = digits(request.phone_number)
        account = self._account_of(phone)
        if account is None:
            return types.auth.AuthorizationSignUpRequired()
        del self.codes[phone]
        return self._first_factor_done(call, account)

    def _sent_code(self, request: Any) -> SentCode:
        sent = self.codes.get(digits(request.phone_number))
        if sent is None or sent.expired or sent.code_hash != request.phone_code_hash:
            raise RpcFailure(400, "PHONE_CODE_EXPIRED")
        return sent

    # password

    def get_password(self, call: Call, _: Any) -> Any:
        """Whether a second factor is wanted, and a new challenge for it."""
        account = call.authorization.awaits_password or call.account
        common = {
            "new_algo": Verifier().algorithm,
            "new_secure_algo": types.SecurePasswordKdfAlgoUnknown(),
            "secure_random": secrets.token_bytes(256),
        }
        if account.password is None:
            return types.account.Password(has_password=False, **common)
        verifier = self._verifier_of(account)
        challenge_id, public = verifier.challenge()
        return types.account.Password(
            has_password=True, current_algo=verifier.algorithm, srp_B=public, srp_id=challenge_id, hint="", **common
        )

    def check_password(self, call: Call, request: Any) -> Any:
        """Log in with the second factor."""
        account = call.authorization.awaits_password
        if account is None:
            raise RpcFailure(401, "AUTH_KEY_UNREGISTERED")
        if isinstance(request.password, types.InputCheckPasswordEmpty):
            raise RpcFailure(400, "PASSWORD_HASH_INVALID")
        self._verifier_of(account).check(request.password)
        return self._logged_in(call, account)

    def _verifier_of(self, account: Account) -> Verifier:
        assert account.password is not None
        if account not in self.verifiers:
            self.verifiers[account] = Verifier.of(account.password)
        return self.verifiers[account]

    # QR code

    def export_login_token(self, call: Call, request: Any) -> Any:
        """A token to show as QR code; asked again after it was scanned, the log-in."""
        self._check_api(request)
        for shown in self.tokens.values():
            if shown.authorization is call.authorization and shown.accepted_by is not None:
                return self._redeemed(call, shown)
        expires = (self.world.now() + timedelta(seconds=self.token_seconds)).replace(microsecond=0)
        token = LoginToken(secrets.token_bytes(32), expires, call.authorization, call.link)
        self.tokens[token.token] = token
        return types.auth.LoginToken(expires=expires, token=token.token)

    def import_login_token(self, call: Call, request: Any) -> Any:
        """The log-in of a token that was scanned."""
        token = self._valid_token(request.token)
        if token.accepted_by is None:
            raise RpcFailure(400, "AUTH_TOKEN_INVALID")
        return self._redeemed(call, token)

    def accept_login_token(self, call: Call, request: Any) -> Any:
        """Scan a QR code with a client that is logged in."""
        self.accept(request.token, call.account)
        return types.Authorization(
            hash=0,
            device_model="",
            platform="",
            system_version="",
            api_id=self.api_id,
            app_name="",
            app_version="",
            date_created=self.world.now(),
            date_active=self.world.now(),
            ip="127.0.0.1",
            country="",
            region="",
        )

    def accept(self, token_bytes: bytes, account: Account) -> None:
        """Scan a QR code; the client that shows it is told."""
        token = self._valid_token(token_bytes)
        if token.accepted_by is not None:
            raise RpcFailure(400, "AUTH_TOKEN_ALREADY_ACCEPTED")
        token.accepted_by = account
        token.link.push(types.UpdateShort(types.UpdateLoginToken(), self.world.now()))

    def _valid_token(self, token_bytes: bytes) -> LoginToken:
        token = self.tokens.get(token_bytes)
        if token is None:
            raise RpcFailure(400, "AUTH_TOKEN_INVALID")
        if self.world.now() >= token.expires:
            raise RpcFailure(400, "AUTH_TOKEN_EXPIRED")
        return token

    def _redeemed(self, call: Call, token: LoginToken) -> Any:
        del self.tokens[token.token]
        assert token.accepted_by is not None
        return types.auth.LoginTokenSuccess(authorization=self._first_factor_done(call, token.accepted_by))

    # bots, and the end of it

    def import_bot_authorization(self, call: Call, request: Any) -> Any:
        """Log in as a bot."""
        self._check_api(request)
        for account in self.world.accounts:
            if account.token is not None and secrets.compare_digest(account.token, request.bot_auth_token):
                return self._logged_in(call, account)
        raise RpcFailure(400, "ACCESS_TOKEN_INVALID")

    def log_out(self, call: Call, _: Any) -> Any:
        """End the session; the key stays, nobody is logged in with it."""
        call.authorization.account = None
        call.authorization.links.clear()
        return types.auth.LoggedOut()

    # what they share

    def _first_factor_done(self, call: Call, account: Account) -> Any:
        if account.password is not None:
            call.authorization.awaits_password = account
            raise RpcFailure(401, "SESSION_PASSWORD_NEEDED")
        return self._logged_in(call, account)

    def _logged_in(self, call: Call, account: Account) -> Any:
        if any(self.world.authorizations_of(account)):
            self._write_as_telegram(account, f"New login. Dear {account.user.name}, we detected a login.")
        call.authorization.account = account
        call.authorization.awaits_password = None
        return types.auth.Authorization(user=user_view(self.world, account, account.user))

    def _write_as_telegram(self, account: Account, text: str) -> None:
        message = Message(
            message_id=self.world.next_message_id(account),
            chat=self.world.telegram,
            sender=self.world.telegram,
            text=text,
            sent_at=self.world.now().replace(microsecond=0),
        )
        entry = self.world.store(account, message)
        self.world.tell(account, push_of(self.world, account, entry))

    def _account_of(self, phone: str) -> Account | None:
        return next((a for a in self.world.accounts if a.user.phone == phone and not a.user.bot), None)

    def _check_api(self, request: Any) -> None:
        if (request.api_id, request.api_hash) != (self.api_id, self.api_hash):
            raise RpcFailure(400, "API_ID_INVALID")
