"""How probes speak of shares and sizes."""


def critical_above(percent: float) -> float:
    """Return from where on a share is critical: when half of what the threshold left is gone too."""
    return (percent + 100) / 2


def megabytes(count: float) -> str:
    """Return a size in words: GB, MB or kB of 10^9, 10^6, 10^3 bytes."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
