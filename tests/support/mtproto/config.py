"""What a client is told about the data centre (core.telegram.org/method/help.getConfig)."""

from datetime import datetime, timedelta
from typing import Any

from telethon.tl import types

_CONFIG_NUMBERS = (
    "chat_size_max",
    "megagroup_size_max",
    "forwarded_count_max",
    "online_update_period_ms",
    "offline_blur_timeout_ms",
    "offline_idle_timeout_ms",
    "online_cloud_timeout_ms",
    "notify_cloud_delay_ms",
    "notify_default_delay_ms",
    "push_chat_period_ms",
    "push_chat_limit",
    "edit_time_limit",
    "revoke_time_limit",
    "revoke_pm_time_limit",
    "rating_e_decay",
    "stickers_recent_limit",
    "channels_read_media_period",
    "call_receive_timeout_ms",
    "call_ring_timeout_ms",
    "call_connect_timeout_ms",
    "call_packet_timeout_ms",
    "caption_length_max",
    "message_length_max",
    "webfile_dc_id",
)


def config_view(*, now: datetime, dc_id: int, host: str, port: int) -> Any:
    """The data centre's address and the limits of texts; every other number is 0."""
    numbers = dict.fromkeys(_CONFIG_NUMBERS, 0) | {"message_length_max": 4096, "caption_length_max": 1024}
    return types.Config(
        date=now,
        expires=now + timedelta(hours=1),
        test_mode=False,
        this_dc=dc_id,
        dc_options=[types.DcOption(id=dc_id, ip_address=host, port=port)],
        dc_txt_domain_name="",
        me_url_prefix="https://t.me/",
        **numbers,
    )
