"""NADIA: a model drafts every reply on Telegram, a person approves it before it is sent."""


def __getattr__(name: str) -> str:
    # Reading the version from the installed metadata takes longer than starting Python, and few ask for it.
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version(__name__)
