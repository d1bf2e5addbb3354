"""What a process is made of."""

from dataclasses import dataclass

from nadia.accounts.service import AccountService
from nadia.app.endpoints import Endpoints
from nadia.app.texts import OperatorFiles
from nadia.conversations.batches import Batches
from nadia.conversations.memory import ConversationMemory
from nadia.conversations.messages import Messages
from nadia.conversations.pauses import Pauses
from nadia.delivery.outbox import Outbox
from nadia.drafting.worker import DraftingWorker
from nadia.health.checker import HealthChecker
from nadia.health.figure_recorder import FigureRecorder
from nadia.health.figures import FigureHistory
from nadia.inbound.intake import Intake
from nadia.llm.chain import ModelChain
from nadia.pacing.sweep import Sweep
from nadia.pacing.tracker import UserActivityTracker
from nadia.postgres.database import Database
from nadia.quarantine.cache import ProtocolStatusCache
from nadia.quarantine.service import Quarantine
from nadia.recovery.store import RecoveryStore
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.review.desk import ReviewDesk
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
    recovery: RecoveryStore
    quarantine: Quarantine
    protocol_status: ProtocolStatusCache
    ownerships: Ownerships
    desk: ReviewDesk
    accounts: AccountService
    figures: FigureHistory
    health: HealthChecker
    recorder: FigureRecorder
