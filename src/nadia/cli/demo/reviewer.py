"""A reviewer who never sleeps: an HTTP client with a reviewer's token, which does what a person does in a browser.

It belongs to the demo and to tests. Nothing in the product approves by itself.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypedDict, cast

import httpx2

_LOOK_SECONDS: Final = 0.05
_CONFLICTS: Final = 10

Edit = Callable[[int, Sequence[str]], list[str]]
"""Takes the batch's id and the draft's bubbles; returns those to approve."""


class Chances(TypedDict):
    """How often this reviewer does what, 0 to 1; what is left is approval."""

    edit: float
    reject: float
    redraft: float


class _Draft(TypedDict):
    id: int
    bubbles: list[str]


TYPICAL: Final = Chances(edit=0.2, reject=0.08, redraft=0.05)


class AutomaticReviewer:
    """Works through the desk's queue.

    Parameters
    ----------
    url : str
        Of the web.
    token : str
        Of a reviewer.
    chances : Chances
        How it decides.
    seed : int
        Decides the decisions.
    edit : callable, optional
        What it makes of a draft; by default it adds a word.
    at_once : int
        Items that it works on at the same time.
    """

    def __init__(
        self,
        *,
        url: str,
        token: str,
        chances: Chances = TYPICAL,
        seed: int = 0,
        edit: Edit | None = None,
        at_once: int = 4,
    ) -> None:
        self._client = httpx2.AsyncClient(
            base_url=f"{url}/api/v1/desk", headers={"Authorization": f"Bearer {token}"}, timeout=10.0, trust_env=False
        )
        self._chances = chances
        self._random = random.Random(seed)
        self._edit = edit
        self._at_once = at_once
        self._redrafted: set[int] = set()
        self.decisions: Counter[str] = Counter()

    async def run(self) -> None:
        """Review what comes, until cancelled."""
        async with self._client:
            while True:
                with contextlib.suppress(httpx2.HTTPError):
                    await self._look()
                await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        answer = await self._client.get("/queue", params={"limit": 50})
        if answer.status_code != httpx2.codes.OK:
            return
        ready = [
            line["batch_id"]
            for line in answer.json()["items"]
            if line["state"] in ("drafted", "in_review") and (line["has_draft"] or line["no_draft_reason"])
        ]
        for start in range(0, len(ready), self._at_once):
            await asyncio.gather(*(self._review(batch_id) for batch_id in ready[start : start + self._at_once]))

    async def _review(self, batch_id: int) -> None:
        """Claim an item, decide, and look again when the customer was quicker."""
        claimed = await self._client.post(f"/items/{batch_id}/claim")
        if claimed.status_code != httpx2.codes.OK:
            self.decisions["claim refused"] += 1
            return
        wish = self._random.random()
        for _ in range(_CONFLICTS):
            answer = await self._client.get(f"/items/{batch_id}")
            if answer.status_code != httpx2.codes.OK:
                return
            if await self._decide(batch_id, answer.json(), wish):
                return
            self.decisions["looked again"] += 1

    async def _decide(self, batch_id: int, detail: dict[str, object], wish: float) -> bool:
        seen = detail["conversation_revision"]
        draft = cast("_Draft | None", detail["draft"])
        chances = self._chances
        if wish < chances["reject"]:
            return await self._post(batch_id, "reject", {"reason": "needs no answer", "seen_revision": seen})
        if wish < chances["reject"] + chances["redraft"] and batch_id not in self._redrafted:
            self._redrafted.add(batch_id)
            return await self._post(batch_id, "redraft", {"reason": "too long"})
        bubbles = list(draft["bubbles"]) if draft else ["Thank you for writing. A colleague looks at it today."]
        if self._edit is not None:
            bubbles = self._edit(batch_id, bubbles)
        elif wish > 1 - chances["edit"]:
            bubbles[-1] = f"{bubbles[-1]} Have a good day!"
        if detail["disclosure"]:
            bubbles.insert(0, cast(str, detail["disclosure"]))
        seen_draft = draft["id"] if draft else None
        body = {"bubbles": bubbles, "seen_revision": seen, "seen_draft": seen_draft, "confirm_newer": True}
        return await self._post(batch_id, "approve", body)

    async def _post(self, batch_id: int, action: str, body: dict[str, object]) -> bool:
        """Send a decision; False if it is to be looked at again."""
        answer = await self._client.post(f"/items/{batch_id}/{action}", json=body)
        if answer.status_code == httpx2.codes.CONFLICT:
            return False
        self.decisions[action if answer.is_success else f"{action} failed with {answer.status_code}"] += 1
        return True
