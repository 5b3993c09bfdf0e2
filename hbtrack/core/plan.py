"""From facts to decisions: what is recorded so far -> what to run next.

The plan knows the schedule, the sampled ids and the recorded objectives, nothing else: no clock, no
I/O, no randomness, and not whether a loss is minimised or maximised. What it decides depends on the
*set* of facts, never on the order in which they arrived. There is no resume: a start tells the plan
every recorded objective and opens the stored passes again, which leads to the same state as living
through them.

The rules
---------
* A rung closes when all its places are settled. Its survivors are ranked by (objective, slot); the
  next rung takes the best of them, as many as planned. What failed is never promoted.
* The same config_id may stand in several slots. A place takes a recorded result of its config at
  its budget or, if there is none, at the smallest recorded budget above (no checkpoint is ever
  asked for fewer epochs than it has). Only the canonically first slot of an id that has not come to
  its end may call the script, so no two processes ever work on one config.
* A config that was started for more than a place asks is called for that much again, whether it
  came to a result or not; the place takes that. (A failure that was taken back leaves that.)
* Ready places start in canonical order. When nothing is ready, the next pass opens.
* A recorded evaluation belongs to the canonically first place that takes it at its own budget.
  When the schedule has grown there may be none, for now or for ever: an orphan. It counts.

Why this is exact: for one config, budgets are recorded in ascending order (the rule above), so
"the smallest recorded budget not below N" never changes once there is one.
"""

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import count

from hbtrack.core.consequences import Closed, Consequences, Entered, Improved, Settled
from hbtrack.core.decisions import Decision, Done, OpenPass, Start, Wait
from hbtrack.core.plan_state import NOWHERE, ConfigState, RungState
from hbtrack.core.records import Objective, Place, RungKey, SlotKey, rung_of, slot_of
from hbtrack.core.schedule import Bracket, Schedule


class Plan:
    """One search: tell it facts, ask it what to do.

    Facts go in by `record` and `open_pass`, and return what follows from them; `next` answers
    without changing anything; `start` and `requeue` keep track of what is running. What else it
    knows is in `core/known.py`.
    """

    def __init__(self, schedule: Schedule, passes: int) -> None:
        self.schedule = schedule
        self.passes = passes
        self.opened = 0
        self.running: set[Place] = set()
        self.rungs: dict[RungKey, RungState] = {}
        self.configs: dict[str, ConfigState] = {}
        self.places_expected = 0
        self.places_done = 0
        self.places_failed = 0
        self.epochs_done = 0
        self.epochs_left = 0
        # Of all recorded: objective, place (NOWHERE for an orphan), config_id, epochs.
        self.best: tuple[float, Place, str, int] | None = None
        self._ready: list[Place] = []
        for pass_ in range(1, passes + 1):
            for bracket in schedule.brackets:
                self._add_bracket(pass_, bracket)

    def _add_bracket(self, pass_: int, bracket: Bracket) -> None:
        for number, (rung, increment) in enumerate(
            zip(bracket.rungs, bracket.increments(), strict=True)
        ):
            key = RungKey(pass_, bracket.first_epochs, number)
            self.rungs[key] = RungState(rung.epochs, increment, rung.configs)
            self.places_expected += rung.configs
            self.epochs_left += rung.configs * increment

    # --- facts ---

    def open_pass(self, pass_: int, config_ids: Sequence[str]) -> Consequences:
        """The pass was sampled: `config_ids` fill its first rungs in canonical order."""
        if pass_ != self.opened + 1 or len(config_ids) != self.schedule.configs:
            raise ValueError(f"pass {pass_} with {len(config_ids)} ids does not come next")
        self.opened = pass_
        result = Consequences()
        ids = iter(config_ids)
        for bracket in self.schedule.brackets:
            entering = {slot: next(ids) for slot in range(bracket.configs)}
            for slot, config_id in entering.items():
                self._add_slot(config_id, SlotKey(pass_, bracket.first_epochs, slot))
            self._enter(RungKey(pass_, bracket.first_epochs, 0), entering, result)
        return result

    def record(self, config_id: str, epochs: int, objective: Objective) -> Consequences:
        """The evaluation (config_id, epochs) came to this. Recording it twice is an error."""
        config = self.configs.get(config_id)
        if config is None:
            config = self.configs[config_id] = ConfigState([])
        budgets, objectives = config.budgets, config.objectives
        index = bisect_left(budgets, epochs)
        if index < len(budgets) and budgets[index] == epochs:
            raise ValueError(f"({config_id!r}, {epochs}) is recorded already")
        self.epochs_done += max(0, epochs - (budgets[-1] if budgets else 0))
        config.budgets = (*budgets[:index], epochs, *budgets[index:])
        config.objectives = (*objectives[:index], objective, *objectives[index:])
        result = Consequences()
        if objective is not None:
            if self.best is None or objective < self.best[0]:
                result.improved.append(Improved(config_id, epochs, objective, self.epochs_done))
            self._rank(objective, NOWHERE, config_id, epochs)  # its place, if any, comes below
        for place in [self._waiting(slot) for slot in config.slots[config.live :]]:
            if place is not None and self._epochs(place) <= epochs:
                self._settle(place, config_id, result)
        return result

    def start(self, place: Place) -> None:
        """The script was started for the place that `next` named, or is still running for it."""
        if self._ready and self._ready[0] == place:
            heapq.heappop(self._ready)
        else:
            self._ready.remove(place)  # ValueError: the facts contradict each other
            heapq.heapify(self._ready)
        self.running.add(place)
        start = self.start_of(place)
        self.configs[start.config_id].begun = start.epochs

    def requeue(self, place: Place) -> None:
        """The process of this place ended without a result: it is to be run again."""
        self.running.remove(place)
        heapq.heappush(self._ready, place)

    # --- decisions ---

    def next(self) -> Decision:
        """What an idle worker should do now."""
        if self._ready:
            return self.start_of(self._ready[0])
        if self.opened < self.passes:
            return OpenPass(self.opened + 1)
        return Wait() if self.running else Done()

    def start_of(self, place: Place) -> Start:
        """The decision to run the script for a place."""
        rung = self.rungs[rung_of(place)]
        config_id = rung.members[place.slot]
        return Start(place, config_id, max(rung.epochs, self.configs[config_id].begun))

    def start_for(self, config_id: str, epochs: int) -> Start | None:
        """The decision to run the script for this evaluation, if it may be now."""
        ready = {
            (start.config_id, start.epochs): start for start in map(self.start_of, self._ready)
        }
        return ready.get((config_id, epochs))

    def only_one_left(self) -> bool:
        """Whether one place is all there is to run now: ready, nothing running, no pass to open."""
        return len(self._ready) == 1 and not self.running and self.opened == self.passes

    # --- what is known ---

    def config_ids(self) -> list[str]:
        """Every config_id of the search so far."""
        return list(self.configs)

    def callable(self) -> set[Place]:
        """The places that the script is called for, or may be at once."""
        return self.running.union(self._ready)

    def place_of(self, config_id: str, epochs: int) -> Place:
        """The place that may call the script for this evaluation.

        Raises KeyError when there is none: no slot of the config asks for this budget.
        """
        config = self.configs[config_id]
        place = self._waiting(config.slots[config.live])
        if place is None or epochs not in (self._epochs(place), self.start_of(place).epochs):
            raise KeyError((config_id, epochs))
        return place

    def settled_rungs(self, slot: SlotKey) -> Iterator[RungKey]:
        """The rungs in which the slot has a result."""
        for number in count():
            key = RungKey(slot.pass_, slot.first_epochs, number)
            if key not in self.rungs or slot.slot not in self.rungs[key].objectives:
                break
            yield key

    # --- consequences ---

    def _add_slot(self, config_id: str, slot: SlotKey) -> None:
        config = self.configs.get(config_id)
        if config is None:
            self.configs[config_id] = ConfigState([slot])
            return
        if len(config.slots) == 1:  # what it took at its own budgets was the first to do so
            (first,) = config.slots
            config.owners = {
                epochs: Place(*key, first.slot)
                for key in self.settled_rungs(first)
                if (epochs := self.rungs[key].epochs) in config.budgets
            }
        config.slots.append(slot)

    def _enter(self, key: RungKey, entering: dict[int, str], result: Consequences) -> None:
        """Fill a rung, whole and at once; then take what is recorded already."""
        self.rungs[key].members = entering
        epochs = self.rungs[key].epochs
        entered = [Entered(Place(*key, slot), config_id) for slot, config_id in entering.items()]
        result.entered += entered
        for place, config_id in entered:
            config = self.configs[config_id]
            if config.has_result_for(epochs):
                self._settle(place, config_id, result)
            elif config.slots[config.live] == slot_of(place):
                heapq.heappush(self._ready, place)

    def _settle(self, place: Place, config_id: str, result: Consequences) -> None:
        rung, config = self.rungs[rung_of(place)], self.configs[config_id]
        index = bisect_left(config.budgets, rung.epochs)  # there is one, or it would be waiting
        source, objective = config.budgets[index], config.objectives[index]
        owner = config.owners.get(source) if config.owners else None
        reused = source != rung.epochs or (owner is not None and owner < place)
        result.settled.append(Settled(place, config_id, source, reused))
        if not reused:
            if config.owners is not None:
                config.owners[source] = place
            if objective is not None:
                self._rank(objective, place, config_id, source)
            if owner is not None:  # a later place found it as an orphan, and gives it back
                result.settled.append(Settled(owner, config_id, source, reused=True))
        self.running.discard(place)
        self.epochs_left -= rung.increment
        rung.objectives[place.slot] = objective
        if objective is None:
            rung.failed += 1
            self.places_failed += 1
            self._end_slot(slot_of(place), config)
        else:
            self.places_done += 1
            best = rung.best_objective
            rung.best_objective = objective if best is None else min(objective, best)
        if len(rung.objectives) == len(rung.members):
            self._close(rung_of(place), result)

    def _close(self, key: RungKey, result: Consequences) -> None:
        """Promote the best of a settled rung; everything else in it comes to its end."""
        rung = self.rungs[key]
        above_key = key._replace(rung=key.rung + 1)
        above = self.rungs.get(above_key)
        ranking = sorted(
            (found, slot) for slot, found in rung.objectives.items() if found is not None
        )
        promoted = [slot for _, slot in ranking[: above.expected if above else 0]]
        cutoff = ranking[len(promoted) - 1][0] if promoted else None
        rung.closed = Closed(key, tuple(sorted(promoted)), cutoff)
        result.closed.append(rung.closed)
        self._shrink(above_key, len(promoted))
        for _, slot in ranking[len(promoted) :]:
            self._end_slot(SlotKey(key.pass_, key.first_epochs, slot), self._at(rung, slot))
        if promoted:
            entering = {slot: rung.members[slot] for slot in rung.closed.promoted}
            self._enter(above_key, entering, result)

    def _rank(self, objective: float, place: Place, config_id: str, epochs: int) -> None:
        if self.best is None or objective <= self.best[0]:
            measured = (objective, place, config_id, epochs)
            self.best = min(self.best or measured, measured)

    def _shrink(self, key: RungKey, survivors: int) -> None:
        """Fewer survivors than planned leave every rung above with at most as many."""
        while (rung := self.rungs.get(key)) and rung.expected > survivors:
            self.places_expected -= rung.expected - survivors
            self.epochs_left -= (rung.expected - survivors) * rung.increment
            rung.expected = survivors
            key = key._replace(rung=key.rung + 1)

    def _waiting(self, slot: SlotKey) -> Place | None:
        """The slot's place that has no result yet, if it has one."""
        for number in count():
            key = RungKey(slot.pass_, slot.first_epochs, number)
            rung = self.rungs.get(key)
            if rung is None or slot.slot not in rung.members:
                return None
            if slot.slot not in rung.objectives:
                return Place(*key, slot.slot)
        return None

    def _epochs(self, place: Place) -> int:
        return self.rungs[rung_of(place)].epochs

    def _at(self, rung: RungState, slot: int) -> ConfigState:
        return self.configs[rung.members[slot]]

    def _end_slot(self, slot: SlotKey, config: ConfigState) -> None:
        """The slot wants nothing more; the next slot of its config may now call the script."""
        if len(config.slots) == 1:
            config.live = 1
            return
        config.ended = config.ended or set()
        config.ended.add(slot)
        while config.live < len(config.slots) and config.slots[config.live] in config.ended:
            config.live += 1
            if config.live < len(config.slots):
                place = self._waiting(config.slots[config.live])
                # It may be about to take a result: then the script is not called for it.
                if place is not None and not config.has_result_for(self._epochs(place)):
                    heapq.heappush(self._ready, place)
