"""How much of a terminal a text takes."""


def width_of(text: str) -> int:
    """How many columns of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - most texts do without

    return cell_len(text)


def shortened(text: str, width: int) -> str:
    """The beginning of a text that is wider than that, with an ellipsis of three dots."""
    if width_of(text) <= width:
        return text
    room = max(0, width - 3)
    while width_of(text) > room:
        text = text[: room if len(text) > room else -1]
    return text + "..."
