"""The scripts that keep bursts in Redis. Each touches one slot; times are milliseconds since 1970.

A burst is a hash: ``first`` and ``last`` (times of its messages), ``count``, ``typing`` (until when the customer is
taken to be writing) and ``urgent``. Its place in the partition's due set says when it is over. A claim takes those
fields away and leaves ``claim`` (whose it is) and ``claim_urgent``: what comes meanwhile is a burst of its own, and a
claimant that wakes up late finds that the claim is no longer its own.
"""

from dataclasses import dataclass
from typing import Final

from nadia.constants import DAY_IN_SECONDS
from nadia.redis.commands import Script

_LIFETIME: Final = DAY_IN_SECONDS * 1000

_DUE: Final = """
local function due_at(burst)
  local state = redis.call('HMGET', burst, 'first', 'last', 'count', 'typing', 'urgent')
  local first, last = tonumber(state[1]), tonumber(state[2])
  if state[5] == '1' or tonumber(state[3]) >= LARGEST then return last end
  return math.min(first + LONGEST, math.max(last + WINDOW, tonumber(state[4] or '0')))
end
"""

# KEYS: due set, burst. ARGV: conversation, now, urgent (0/1).
# A message ends the typing that led to it. Returns when the burst is now due.
_ADD: Final = """
redis.call('HSETNX', KEYS[2], 'first', ARGV[2])
redis.call('HSET', KEYS[2], 'last', ARGV[2])
redis.call('HDEL', KEYS[2], 'typing')
redis.call('HINCRBY', KEYS[2], 'count', 1)
if ARGV[3] == '1' then redis.call('HSET', KEYS[2], 'urgent', '1') end
redis.call('PEXPIRE', KEYS[2], LIFETIME)
local due = due_at(KEYS[2])
redis.call('ZADD', KEYS[1], due, ARGV[1])
return due
"""

# KEYS: due set, burst. ARGV: conversation, typing until.
# Typing prolongs a burst that has begun; it begins none.
_TYPING: Final = """
if redis.call('HEXISTS', KEYS[2], 'first') == 0 then return 0 end
redis.call('HSET', KEYS[2], 'typing', ARGV[2])
local due = due_at(KEYS[2])
redis.call('ZADD', KEYS[1], 'XX', due, ARGV[1])
return due
"""

# KEYS: due set, burst. ARGV: conversation, first, last, count.
# Rebuilds a burst from PostgreSQL, unless it is there.
_RESTORE: Final = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('HSETNX', KEYS[2], 'first', ARGV[2])
redis.call('HSETNX', KEYS[2], 'last', ARGV[3])
redis.call('HSETNX', KEYS[2], 'count', ARGV[4])
redis.call('PEXPIRE', KEYS[2], LIFETIME)
redis.call('ZADD', KEYS[1], due_at(KEYS[2]), ARGV[1])
return 1
"""


@dataclass(frozen=True)
class BoundScripts:
    """The scripts that decide when a burst is over, with the bounds written into them: fewer words per message.

    Parameters
    ----------
    add, typing, restore : Script
        A message came; the customer writes; the burst was lost.
    """

    add: Script
    typing: Script
    restore: Script

    @classmethod
    def of(cls, *, window: int, longest: int, largest: int) -> "BoundScripts":
        """Return the scripts for a window, a longest wait (milliseconds) and a largest batch (messages)."""
        bounds = f"local WINDOW, LONGEST, LARGEST, LIFETIME = {window}, {longest}, {largest}, {_LIFETIME}\n"
        return cls(*(Script(bounds + _DUE + rest) for rest in (_ADD, _TYPING, _RESTORE)))


# KEYS: due set. ARGV: now, lease, most bursts, what burst keys begin with (same hash tag, so same slot), name of the
# claim.
# Hands due bursts to one claimant by moving them to the end of its lease: one that dies or stalls gives them back.
# Returns conversation, when it was due, urgent (0/1) for each.
CLAIM: Final = Script(f"""
local claimed = {{}}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for position = 1, #due, 2 do
  local conversation = due[position]
  local burst = ARGV[4] .. conversation
  local state = redis.call('HMGET', burst, 'urgent', 'claim_urgent')
  local urgent = (state[1] == '1' or state[2] == '1') and '1' or '0'
  redis.call('HDEL', burst, 'first', 'last', 'count', 'typing', 'urgent')
  redis.call('HSET', burst, 'claim', ARGV[5], 'claim_urgent', urgent)
  redis.call('PEXPIRE', burst, {_LIFETIME})
  redis.call('ZADD', KEYS[1], tonumber(ARGV[1]) + tonumber(ARGV[2]), conversation)
  table.insert(claimed, {{conversation, due[position + 1], urgent}})
end
return claimed
""")

# KEYS: due set, burst. ARGV: conversation, name of the claim.
# Ends a burst that was sealed, if it is still the claimant's. What came after the claim stays due at its own time.
FINISH: Final = Script("""
if redis.call('HGET', KEYS[2], 'claim') ~= ARGV[2] then return 0 end
if redis.call('HEXISTS', KEYS[2], 'first') == 1 then
  redis.call('HDEL', KEYS[2], 'claim', 'claim_urgent')
else
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 1
""")

# KEYS: due set, burst. ARGV: conversation, name of the claim, until.
# Gives a claimed burst back to be claimed again later, together with what came meanwhile.
POSTPONE: Final = Script("""
if redis.call('HGET', KEYS[2], 'claim') ~= ARGV[2] then return 0 end
if redis.call('HEXISTS', KEYS[2], 'first') == 0 then redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) end
return 1
""")
