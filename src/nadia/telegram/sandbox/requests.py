"""What may be asked of the sandbox, and what is checked before anything is done."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from nadia.constants import TELEGRAM_TEXT_LIMIT
from nadia.telegram.gateway import MessageKind
from nadia.telegram.sandbox.faults import FaultPlan, ForcedFault
from nadia.telegram.sandbox.protocol import PAGE, Envelope, RequestRefusedError

_INT64_MAX = 2**63 - 1


def _check_text(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("TEXT_INVALID", "holds a NUL character")
    try:
        length = len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError as exc:
        raise PydanticCustomError("TEXT_INVALID", "holds half a surrogate pair") from exc
    if length > TELEGRAM_TEXT_LIMIT:
        raise PydanticCustomError(
            "MESSAGE_TOO_LONG",
            "has {length} UTF-16 units, at most {limit} are allowed",
            {"length": length, "limit": TELEGRAM_TEXT_LIMIT},
        )
    return text


def _check_not_empty(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("MESSAGE_EMPTY", "is empty")
    return text


Account = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Id = Annotated[int, Field(ge=0, le=_INT64_MAX)]
Caption = Annotated[str, AfterValidator(_check_text)]
Text = Annotated[str, AfterValidator(_check_text), AfterValidator(_check_not_empty)]
Name = Annotated[str, Field(max_length=64), AfterValidator(_check_text), AfterValidator(_check_not_empty)]
FileWords = Annotated[str, Field(max_length=200), AfterValidator(_check_text)]
Limit = Annotated[int, Field(ge=1, le=PAGE)]


class Request(BaseModel):
    """A checked request."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    METHOD: ClassVar[str]


class AccountRequest(Request):
    """What the desk's side asks; all but the log-in need one."""


class LogIn(AccountRequest):
    """Take over an account, going on after ``pts``; null from its first update on."""

    METHOD = "account.login"
    account: Account
    pts: Id | None = None


class GetDifference(AccountRequest):
    """Read the updates after one pts up to another."""

    METHOD = "account.difference"
    after: Id
    up_to: Id
    limit: Limit = PAGE


class Send(AccountRequest):
    """Send a message, once for each random id that the server remembers."""

    METHOD = "account.send"
    chat_id: Id
    text: Text
    random_id: Annotated[int, Field(ge=-(2**63), le=_INT64_MAX)]

    @field_validator("random_id")
    @classmethod
    def _not_zero(cls, value: int) -> int:
        if value == 0:
            raise PydanticCustomError("RANDOM_ID_EMPTY", "is zero")
        return value


class SetTyping(AccountRequest):
    """Show a customer that the desk writes, or stop showing it."""

    METHOD = "account.typing"
    chat_id: Id
    active: bool = True


class _Page(Request):
    after_id: Id | None = None
    before_id: Id | None = None
    limit: Limit = PAGE


class AccountHistory(_Page, AccountRequest):
    """Read a chat as the desk."""

    METHOD = "account.history"
    chat_id: Id


class GetDialogs(AccountRequest):
    """List the chats whose newest message is older than ``below``."""

    METHOD = "account.dialogs"
    below: Id | None = None
    limit: Limit = PAGE


class CreateCustomer(Request):
    """Add a customer; ``is_person`` false makes a bot, of the kind that intake has to leave alone."""

    METHOD = "customer.create"
    name: Name
    username: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{3,31}$")] | None = None
    is_person: bool = True


class ListCustomers(Request):
    """List customers by id."""

    METHOD = "customer.list"
    after: Id = 0
    limit: Limit = PAGE


class ListAccounts(Request):
    """List the accounts that can be written to."""

    METHOD = "customer.accounts"


class ChatRequest(Request):
    """What concerns the chat of one customer with one account."""

    account: Account
    user_id: Id


class Attachment(BaseModel):
    """What the sender says about a file; there are no files in the sandbox, only that there would be one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: FileWords | None = None
    mime_type: FileWords | None = None
    size: Id | None = None
    """Bytes."""
    duration: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = None
    """Seconds."""
    emoji: FileWords | None = None


class Write(ChatRequest):
    """Write to an account as a customer. Other kinds than text may come without words."""

    METHOD = "customer.write"
    text: Caption
    kind: Annotated[MessageKind, Field(strict=False)] = MessageKind.TEXT
    attachment: Attachment | None = None
    reply_to: Id | None = None

    @model_validator(mode="after")
    def _text_says_something(self) -> Self:
        if self.kind is MessageKind.TEXT:
            _check_not_empty(self.text)
            if self.attachment is not None:
                raise PydanticCustomError("MEDIA_INVALID", "is a text, which has no attachment")
        return self


class CustomerTypes(ChatRequest):
    """Show the account that the customer writes."""

    METHOD = "customer.typing"


class Edit(ChatRequest):
    """Change the text of one of the customer's own messages; only what is not text may be left without words."""

    METHOD = "customer.edit"
    message_id: Id
    text: Caption


class Delete(ChatRequest):
    """Delete messages of the chat for both sides."""

    METHOD = "customer.delete"
    message_ids: Annotated[list[Id], Field(min_length=1, max_length=PAGE)]


class Block(ChatRequest):
    """Let the account write to the customer no longer, or again."""

    METHOD = "customer.block"
    blocked: bool = True


class CustomerHistory(_Page, ChatRequest):
    """Read a chat as the customer."""

    METHOD = "customer.history"


class Watch(Request):
    """Tell this connection from now on what happens in a customer's chats."""

    METHOD = "customer.watch"
    user_id: Id


class PostFromPhone(ChatRequest):
    """Write to a customer from the operator's own phone, past the desk."""

    METHOD = "control.phone"
    text: Text
    reply_to: Id | None = None


class ForgetUpdates(Request):
    """Forget the updates of an account, as Telegram does with those that are too many or too old."""

    METHOD = "control.forget"
    account: Account


class Revoke(Request):
    """End an account's session, as logging it out or a ban would."""

    METHOD = "control.revoke"
    account: Account
    code: Literal["SESSION_REVOKED", "AUTH_KEY_UNREGISTERED", "USER_DEACTIVATED", "USER_DEACTIVATED_BAN"] = (
        "SESSION_REVOKED"
    )


class Cut(Request):
    """Cut the connection that has the account, if there is one."""

    METHOD = "control.cut"
    account: Account


class Restore(Request):
    """Let a revoked account log in again."""

    METHOD = "control.restore"
    account: Account


class SetFaults(Request):
    """Replace the fault plan."""

    METHOD = "control.faults"
    plan: FaultPlan


class ForceFault(Request):
    """Make one fault happen at the next occasion."""

    METHOD = "control.force"
    fault: ForcedFault


class GetStatistics(Request):
    """Count what happened."""

    METHOD = "control.statistics"


_KINDS: tuple[type[Request], ...] = (
    *(LogIn, GetDifference, Send, SetTyping, AccountHistory, GetDialogs),
    *(CreateCustomer, ListCustomers, ListAccounts, Write, CustomerTypes, Edit, Delete, Block, CustomerHistory, Watch),
    *(PostFromPhone, Cut, ForgetUpdates, Revoke, Restore, SetFaults, ForceFault, GetStatistics),
)
REQUESTS = {kind.METHOD: kind for kind in _KINDS}


def read_request(envelope: Envelope) -> Request:
    """Check a request's parameters.

    Raises
    ------
    RequestRefusedError
        With Telegram's code for a bad text, else ``METHOD_UNKNOWN`` or ``PARAMS_INVALID`` with the field.
    """
    kind = REQUESTS.get(envelope.method)
    if kind is None:
        raise RequestRefusedError("METHOD_UNKNOWN", f"there is no method {envelope.method[:60]!r}", field="method")
    try:
        return kind.model_validate(envelope.params)
    except ValidationError as exc:
        raise refusal_for(exc) from exc


def refusal_for(error: ValidationError) -> RequestRefusedError:
    """Say what is wrong with the first offending field, without repeating its value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # a field that we do not know is named by its sender, perhaps in what cannot be written
    field = ".".join(ascii(part)[:60].strip("'") for part in first["loc"]) or None
    if first["type"] == "string_unicode":  # pydantic's word for a lone surrogate
        return RequestRefusedError("TEXT_INVALID", f"{field or 'a name'} is not valid Unicode", field=field)
    if first["type"].isupper():
        return RequestRefusedError(first["type"], f"{field or 'text'} {first['msg']}", field=field or "text")
    return RequestRefusedError("PARAMS_INVALID", f"{field or 'params'}: {first['msg']}", field=field)
