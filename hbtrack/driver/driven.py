"""A search as its driver has it: what is decided, what runs, and why nothing more starts."""

from dataclasses import dataclass, field

from hbtrack.core.decisions import Start
from hbtrack.core.execution import attempt_name
from hbtrack.core.plan import Plan
from hbtrack.core.records import Search, rung_of
from hbtrack.driver.interfaces import Edges, Running
from hbtrack.errors import HbtrackError


@dataclass(slots=True)
class Driven:
    """What the loop and its parts share; the plan is another one after failures are taken back."""

    search: Search
    plan: Plan
    edges: Edges
    running: dict[int, Running] = field(default_factory=dict)  # by the attempt's number
    failure: HbtrackError | None = None  # raised when all that runs has ended

    @property
    def stops(self) -> bool:
        """Whether nothing starts any more."""
        return self.failure is not None or self.edges.stop.at is not None

    def fail(self, error: HbtrackError) -> None:
        """Nothing new starts, because of the first such error."""
        self.failure = self.failure or error
        self.edges.observer.event("error", message=str(error), running=len(self.running))

    def watch(self, attempt: int, start: Start, gpu: str, since: float) -> Running:
        """From now on this attempt is under way, since a moment (monotonic)."""
        increment = self.plan.rungs[rung_of(start.place)].increment
        name = attempt_name(self.search.token, attempt)
        what = (start.place, start.config_id, start.epochs)
        running = Running(attempt, name, *what, increment, gpu, since)
        self.running[attempt] = running
        return running
