"""How a config is called in text: by its number and its parameters; an opaque id by itself."""

from collections.abc import Mapping

from hbtrack.text import field, printable


def described(number: int | None, params: Mapping[str, object], config_id: str) -> str:
    """A config in one line, what a narrow terminal must not cut first: `#3 lr=0.05 layers=12`.

    `number` is its number in the search. Without parameters the id stands in their place.
    """
    what = params_text(params) if params else printable(config_id)
    return what if number is None else f"#{number} {what}"


def directed(loss: object, maximize: object) -> str:
    """A loss, with a word where it is one of which more is better."""
    return f"{loss} (maximised)" if maximize else str(loss)


def params_text(params: Mapping[str, object]) -> str:
    """Parameters as `name=value`, their floats rounded for the eye."""
    return " ".join(f"{printable(name)}={_value(value)}" for name, value in params.items())


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    is_json = isinstance(value, str) and value.startswith(("{", "["))
    return printable(str(value)) if is_json else field(value)
