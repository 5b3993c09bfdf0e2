"""Places in words, for sentences that name many of them."""

from collections.abc import Iterable
from itertools import groupby

from hbtrack.core.records import Place


def named(places: Iterable[Place]) -> str:
    """Slots by their brackets, neighbours together: pass 1, first budget 3: 0, 4-7."""
    texts = []
    for (pass_, first_epochs), slots in groupby(sorted(places), key=lambda place: place[:2]):
        runs: list[list[int]] = []
        for place in slots:
            if runs and place.slot == runs[-1][-1] + 1:
                runs[-1].append(place.slot)
            else:
                runs.append([place.slot])
        found = ", ".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else f"{r[0]}" for r in runs)
        texts.append(f"pass {pass_}, first budget {first_epochs}: {found}")
    return "; ".join(texts)
