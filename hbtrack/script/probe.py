"""Ask the user's script for its identity and its configs, in a process of its own."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hbtrack.core import contract
from hbtrack.core.config_params import ParamValue, param_value, params_of
from hbtrack.core.records import Grown, Place, Sampled, Terms
from hbtrack.core.schedule import schedule_of
from hbtrack.errors import UsageError
from hbtrack.script.conversation import Conversation, short

Stream = Sequence[int]
"""What keys the draws of a search beside its seed: see core/streams.py."""

_Slots = tuple[int, int, int]  # of a bracket: its first budget, from this slot, to before this one


@dataclass(frozen=True, slots=True)
class Examined:
    """What a sampler gave for a number of random generators, each given to it twice."""

    ids: tuple[str, ...]
    again: tuple[str, ...]
    moved: tuple[str, ...]  # global generators that it drew from, or seeded


def check_given(terms: Terms) -> None:
    """Raise UsageError unless the user's own configs can fill the first slots of a search."""
    given, room = terms.configs, schedule_of(terms).brackets[0].configs
    for config_id in given:
        if problem := contract.config_id_problem(config_id):
            raise UsageError(f"The config_id {short(config_id)} {problem}.", see="bad-config")
    if len(set(given)) < len(given):
        twice = next(config_id for config_id in given if given.count(config_id) > 1)
        raise UsageError(
            f"The config_id {short(twice)} is given twice; once is enough.", see="bad-config"
        )
    if len(given) > room:
        raise UsageError(
            f"{len(given)} config_ids are given, but the first bracket has room for {room}: give "
            "fewer, or choose a larger --max-epochs.",
            see="bad-config",
        )


class ScriptProbe(Conversation):
    """What hbtrack asks the script, in one import of it. Use as a context manager."""

    def identity(self) -> str:
        """What run_identity returns for the user's arguments, asked twice. Raises ScriptError."""
        return self.identity_for(self.command.script_args)

    def require_identity(self, run_identity: str) -> None:
        """Raise ScriptError unless the script still names the search so."""
        identity = self.identity()
        if identity != run_identity:
            raise self.error(
                f"run_identity of {self.command.script} says {identity!r} now, but the search is "
                f"{run_identity!r}: the script has changed. `hbtrack run` would start one of the "
                "new name.",
                see="script-changed",
            )

    def identity_for(self, args: Sequence[str]) -> str:
        """What run_identity returns for these arguments, asked twice. Raises ScriptError."""
        identity = str(self.ask("identity", identity=list(args)))
        if problem := contract.name_problem(identity):
            raise self.error(
                f"run_identity returned {short(identity)}, which {problem}.", see="bad-name"
            )
        return identity

    def sample(self, terms: Terms, pass_: int, used: Iterable[str], stream: Stream = ()) -> Sampled:
        """The configs of a pass, and the parameters of those not in `used`. Raises ScriptError.

        The first slots of the first pass take the configs of the user's own.
        """
        known = set(used)
        ids = self._whole_pass(terms, pass_, known, stream)
        return Sampled(pass_, tuple(ids), self.params(ids, known))

    def grow(
        self, terms: Terms, stored: Sequence[Sequence[str]], old: Terms, stream: Stream = ()
    ) -> Grown:
        """What `terms` add to the passes that were `stored` under the old ones.

        New slots avoid every stored id. Raises ScriptError.
        """
        if terms.max_epochs == old.max_epochs:
            return Grown({}, {}, ())
        before = _all_slots(old)
        had = {first_epochs: configs for first_epochs, _, configs in before}
        added = [(first, had.get(first, 0), configs) for first, _, configs in _all_slots(terms)]
        known = {config_id for ids in stored for config_id in ids}
        used = set(known)
        slots: dict[Place, str] = {}
        kept: dict[Place, str] = {}
        for pass_, ids in enumerate(stored, 1):
            kept |= zip(_first_places(pass_, before), ids, strict=True)
            drawn = self._draw(terms.seed, pass_, added, used, stream)
            slots |= zip(_first_places(pass_, added), drawn, strict=True)
            used.update(drawn)
        fresh = self._fresh(terms, len(stored), stream)
        differing = (place for place, found in (kept | slots).items() if found != fresh[place])
        return Grown(slots, self.params(slots.values(), known), tuple(sorted(differing)))

    def examine(self, seed: int, draws: int) -> Examined:
        """How get_random_config_id behaves with that many generators. Raises ScriptError."""
        found = self.ask("examined", examine={"seed": seed, "draws": draws})
        return Examined(**{name: tuple(value) for name, value in found.items()})

    def params(
        self, ids: Iterable[str], known: Collection[str] = ()
    ) -> dict[str, dict[str, ParamValue]]:
        """What get_config, or the ids themselves, say of those not known before, each once.

        Raises ScriptError.
        """
        new = [config_id for config_id in dict.fromkeys(ids) if config_id not in known]
        answers = zip(new, self.ask("params", params=new), strict=True)
        return {config_id: _params(config_id, found) for config_id, found in answers}

    # --- inside ---

    def _fresh(self, terms: Terms, passes: int, stream: Stream) -> dict[Place, str]:
        """What a search that began with these terms would have drawn."""
        used: set[str] = set()
        fresh: dict[Place, str] = {}
        for pass_ in range(1, passes + 1):
            ids = self._whole_pass(terms, pass_, used, stream)
            fresh |= zip(_first_places(pass_, _all_slots(terms)), ids, strict=True)
            used.update(ids)
        return fresh

    def _whole_pass(self, terms: Terms, pass_: int, used: set[str], stream: Stream) -> list[str]:
        check_given(terms)
        given = terms.configs if pass_ == 1 else ()
        (first_epochs, _, configs), *others = _all_slots(terms)
        brackets = [(first_epochs, len(given), configs), *others]
        return [*given, *self._draw(terms.seed, pass_, brackets, used | set(given), stream)]

    def _draw(
        self, seed: int, pass_: int, brackets: list[_Slots], used: set[str], stream: Stream
    ) -> list[str]:
        request = {"seed": seed, "pass_": pass_, "brackets": brackets, "used": sorted(used)}
        request["stream"] = list(stream)
        ids = [str(config_id) for config_id in self.ask("ids", sample=request)]
        for config_id in ids:
            if problem := contract.config_id_problem(config_id):
                raise self.error(
                    f"get_random_config_id returned {short(config_id)}, which {problem}.",
                    see="bad-name",
                )
        return ids


def _all_slots(terms: Terms) -> list[_Slots]:
    return [(one.first_epochs, 0, one.configs) for one in schedule_of(terms).brackets]


def _first_places(pass_: int, brackets: Iterable[_Slots]) -> Iterator[Place]:
    """The places in first rungs that these slots are, in canonical order."""
    for first_epochs, first_slot, configs in brackets:
        yield from (Place(pass_, first_epochs, 0, slot) for slot in range(first_slot, configs))


def _params(config_id: str, found: dict[str, Any] | None) -> dict[str, ParamValue]:
    if found is None:
        return params_of(config_id)
    return {_text(name): _value(value) for name, value in found.items()}


def _value(value: object) -> ParamValue:
    stored = param_value(value)
    return _text(stored) if isinstance(stored, str) else stored


def _text(text: str) -> str:
    """The text with lone surrogates, which no database can hold, made visible."""
    return text.encode("utf-8", "backslashreplace").decode()
