"""The real Telegram, by way of Telethon."""
