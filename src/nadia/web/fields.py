"""Types of what comes in over the API, with the limits that keep the database out of trouble."""

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

LARGEST_ID = 2**63 - 1

RowId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
"""An id in an address: a positive 64-bit integer, as PostgreSQL makes them."""

AccountName = Annotated[str, Field(min_length=1, max_length=64)]
TokenName = Annotated[str, Field(min_length=1, max_length=60, pattern=r"\S")]
# Longer than any real one; how good a new one is, accounts decides.
Password = Annotated[str, Field(max_length=1024)]
Code = Annotated[str, Field(min_length=1, max_length=64)]
LinkSecret = Annotated[str, Field(min_length=1, max_length=128)]

__all__ = ["AccountName", "Code", "LinkSecret", "Password", "RequestBody", "RowId", "TokenName"]


class RequestBody(BaseModel):
    """What a request may carry: these fields and no others."""

    model_config = ConfigDict(extra="forbid")
