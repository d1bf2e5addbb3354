"""What a process is made of."""

from dataclasses import dataclass

from nadia.accounts.service import AccountService
from nadia.app.endpoints import Endpoints
from nadia.app.texts import OperatorFiles
from nadia.conversations import Batches, ConversationMemory
from nadia.conversations.messages import Messages
from nadia.conversations.pauses import Pauses
from nadia.delivery import Outbox
from nadia.drafting import DraftingWorker
from nadia.inbound import Intake
from nadia.llm import ModelChain
from nadia.pacing import UserActivityTracker
from nadia.pacing.sweep import Sweep
from nadia.postgres import Database
from nadia.redis import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.review import ReviewDesk
from nadia.settings import Config
from nadia.telegram.ownership import Ownerships


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """Every service of a process, built once from the settings by `nadia.app.factory`."""

    config: Config
    endpoints: Endpoints
    database: Database
    redis: RedisConnection
    events: LiveEvents
    files: OperatorFiles
    models: ModelChain
    messages: Messages
    memory: ConversationMemory
    outbox: Outbox
    batches: Batches
    pauses: Pauses
    tracker: UserActivityTracker
    sweep: Sweep
    intake: Intake
    drafting: DraftingWorker
    ownerships: Ownerships
    desk: ReviewDesk
    accounts: AccountService
