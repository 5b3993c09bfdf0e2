"""The parameters that a config_id spells out, and how a parameter is kept: pure."""

import json
import math
import re

ParamValue = int | float | str

LONGEST_NUMBER = 400  # digits; floats end at 10**308
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_INT64 = range(-(2**63), 2**63)

_DELIMITERS = (r"\.", r",\s*", r";\s*", "&", r"\|", "/", r"\s+", "__", "_", "--", "-")
_PAIRS = [
    re.compile(rf"([A-Za-z_]\w*){sign}(.*?)(?:{delimiter}(?=[A-Za-z_]\w*{sign})|\Z)", re.DOTALL)
    for sign in (":", "=")
    for delimiter in _DELIMITERS
]


def params_of(config_id: str) -> dict[str, ParamValue]:
    """The parameters of an id that is a JSON object, or pairs of names and values; else {}.

    Pairs are `name:value` or `name=value` throughout, with one delimiter between them: of several
    readings the one with most pairs is meant.
    """
    if config_id.lstrip().startswith("{"):
        return _of_json(config_id)
    readings = (_pairs(config_id, pair) for pair in _PAIRS)
    return max(readings, key=len, default={})


def _of_json(config_id: str) -> dict[str, ParamValue]:
    try:
        found = json.loads(config_id)
    except (ValueError, RecursionError):
        return {}
    return {name: param_value(value) for name, value in found.items()}


def _pairs(config_id: str, pair: re.Pattern[str]) -> dict[str, ParamValue]:
    params: dict[str, ParamValue] = {}
    position = 0
    while match := pair.match(config_id, position):
        params[match[1]] = param_value(match[2])
        if (position := match.end()) == len(config_id):
            return params
    return {}


def param_value(value: object) -> ParamValue:
    """A parameter as SQL can hold it: a number where the text is one as JSON writes it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, str):
        match = _JSON_NUMBER.fullmatch(value)
        if not match or len(value) > LONGEST_NUMBER:
            return value
        number = float(value) if match[1] or match[2] else int(value)
        return value if param_value(number) == repr(number) else number
    if isinstance(value, int):
        return value if value in _INT64 else repr(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    return json.dumps(value, ensure_ascii=False)
