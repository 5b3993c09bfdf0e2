"""Sample a later pass beside the running search: one more import of the script, in a thread."""

import threading
from collections.abc import Callable

from hbtrack.core.records import Sampled, Search
from hbtrack.errors import HbtrackError
from hbtrack.script.probe import ScriptProbe

_STILL_HOLDS = (
    "No further pass was opened, so nothing new starts; all that is finished is kept. "
    "When that is mended, type `hbtrack resume`."
)


class PassSampler:
    """Gives the configs of a pass when they are there; `first` was sampled at the start already."""

    def __init__(self, search: Search, time_limit: float, first: Sampled | None) -> None:
        self._search, self._time_limit = search, time_limit
        self._answers: dict[int, Sampled | HbtrackError] = {first.pass_: first} if first else {}
        self._asked: set[int] = set(self._answers)
        self._probe: ScriptProbe | None = None

    def take(
        self, pass_: int, used: Callable[[], list[str]], wake: Callable[[], None]
    ) -> Sampled | None:
        """The configs of a pass, or None while they are being sampled: `wake` is called then.

        Raises ScriptError when the script no longer keeps the contract; asked again, it tries
        again.
        """
        if pass_ not in self._asked:
            self._asked.add(pass_)
            work = threading.Thread(target=self._sample, args=(pass_, used(), wake), daemon=True)
            work.start()
        answer = self._answers.pop(pass_, None)  # not kept: a pass may have a million configs
        if isinstance(answer, HbtrackError):
            self._asked.remove(pass_)
            raise answer
        return answer

    def cancel(self) -> None:
        """End a call that is under way."""
        if self._probe:
            self._probe.kill()

    def _sample(self, pass_: int, used: list[str], wake: Callable[[], None]) -> None:
        try:
            command, terms = self._search.command, self._search.terms
            self._probe = ScriptProbe(command, self._time_limit, still_holds=_STILL_HOLDS)
            with self._probe:
                self._probe.require_identity(self._search.run_identity)
                self._answers[pass_] = self._probe.sample(terms, pass_, used, self._search.stream)
        except HbtrackError as error:
            self._answers[pass_] = error
        wake()
