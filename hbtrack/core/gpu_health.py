"""Which GPU seems to be broken: a rule on how attempts ended, nothing else.

used --three different evaluations in a row fail with a device error--> suspect
suspect: nothing starts on it; the third evaluation runs again elsewhere, as a probe
    the probe comes to a loss -> it was the GPU: set aside, for as long as this driver lives
    the probe fails again     -> it was the script: used again
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Evaluation = tuple[str, int]
"""A config_id and its epochs."""

ROW = 3
"""Device errors in a row that make a GPU suspect."""


class Outcome(StrEnum):
    """What an attempt came to. What was lost or interrupted says nothing and is not reported."""

    DONE = "done"
    DEVICE_ERROR = "device_error"
    FAILED = "failed"  # in any other way


@dataclass(frozen=True, slots=True)
class Probe:
    """This GPU is suspect: the evaluation that just failed is to be run again, elsewhere."""

    gpu: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """This GPU is not used any more. `evaluations` failed on it too, the oldest first."""

    gpu: str
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True, slots=True)
class Cleared:
    """This GPU is used again; what failed on it stands."""

    gpu: str


@dataclass(slots=True)
class _Past:
    """What is remembered of a GPU: its device errors in a row, and the probe while suspect."""

    row: list[Evaluation] = field(default_factory=list)
    probe: Evaluation | None = None
    set_aside: bool = False

    def barred(self) -> bool:
        return self.set_aside or self.probe is not None

    def forget(self) -> None:
        self.row, self.probe = [], None


class GpuHealth:
    """Told how attempts end, says which GPUs are to be left alone."""

    def __init__(self, gpus: Iterable[str]) -> None:
        self._past = {gpu: _Past() for gpu in gpus}

    def barred(self) -> set[str]:
        """The GPUs on which nothing may start: suspect or set aside."""
        return {gpu for gpu, past in self._past.items() if past.barred()}

    def forgive(self) -> None:
        """A new driver begins: what was set aside is tried again."""
        for past in self._past.values():
            past.set_aside = False

    def note_end(
        self, gpus: Sequence[str], evaluation: Evaluation, outcome: Outcome
    ) -> Probe | Quarantined | Cleared | None:
        """An attempt on these GPUs came to a result; what follows, if anything."""
        for suspect, past in self._past.items():
            if past.probe == evaluation:
                if outcome is not Outcome.DEVICE_ERROR:
                    self._well(gpus, outcome)
                return self._probed(suspect, outcome, elsewhere=suspect not in gpus)
        if outcome is not Outcome.DEVICE_ERROR:
            return self._well(gpus, outcome)
        # Of several GPUs nobody knows which one it was; one that is not ours cannot be left alone.
        if len(gpus) == 1 and gpus[0] in self._past:
            return self._broken(gpus[0], evaluation)
        return None

    def _probed(self, suspect: str, outcome: Outcome, *, elsewhere: bool) -> Quarantined | Cleared:
        past = self._past[suspect]
        others = tuple(failed for failed in past.row if failed != past.probe)
        past.forget()
        if outcome is Outcome.DONE and elsewhere:
            past.set_aside = True
            return Quarantined(suspect, others)
        return Cleared(suspect)

    def _well(self, gpus: Sequence[str], outcome: Outcome) -> Cleared | None:
        """The GPUs did their work. A suspect that brought something to a loss is none."""
        answer = None
        for gpu in gpus:
            past = self._past.get(gpu)
            if past is None or past.set_aside:
                continue
            if past.probe is None:
                past.row = []
            elif outcome is Outcome.DONE:
                past.forget()
                answer = Cleared(gpu)
        return answer

    def _broken(self, gpu: str, evaluation: Evaluation) -> Probe | None:
        past = self._past[gpu]
        if past.set_aside or evaluation in past.row:
            return None
        past.row.append(evaluation)
        if past.probe is not None or len(past.row) < ROW:
            return None  # what was under way on a suspect joins the others
        if self._past.keys() - self.barred() == {gpu}:
            past.row = past.row[1 - ROW :]  # the last one: asked again at the next device error
            return None
        past.probe = evaluation
        return Probe(gpu)
