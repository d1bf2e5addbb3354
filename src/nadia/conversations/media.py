"""What a message carries besides its text, as it lies in PostgreSQL and in Redis."""

import math
from collections.abc import Mapping
from dataclasses import fields

from nadia.telegram.gateway import Media

_NAMES = tuple(field.name for field in fields(Media))


def media_as_fields(media: Media) -> dict[str, object]:
    """Return what is known of the media, as JSON can hold it; what a sender made up (NaN, infinity) is not known."""
    known = {name: getattr(media, name) for name in _NAMES}
    return {name: value for name, value in known.items() if value is not None and _is_json(value)}


def media_from_fields(stored: Mapping[str, object] | None) -> Media | None:
    """Read what `media_as_fields` wrote, by this version or a newer one; None for a message without media.

    Raises
    ------
    TypeError
        If it is not that.
    """
    if stored is None:
        return None
    return Media(**{name: stored[name] for name in _NAMES if name in stored})  # type: ignore[arg-type]  # as written


def _is_json(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
