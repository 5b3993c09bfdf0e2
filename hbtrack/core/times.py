"""Times as the database writes them."""

from datetime import UTC, datetime


def iso(seconds: float) -> str:
    """A Unix time as the database writes it: UTC, fixed width, so that text sorts by time."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "Z"


def unix(text: str) -> float:
    """The Unix time that `iso` wrote."""
    return datetime.fromisoformat(text).timestamp()
