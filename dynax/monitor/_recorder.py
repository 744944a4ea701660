"""Rows of a training loop, kept on the host."""

from typing import Any

import jax
import numpy as np
import optax

from dynax.lyapunov import Ledger


class Recorder:
    """Collect the ledger rows of a loop, to judge or to plot them afterwards.

        recorder = dx.Recorder()
        for batch in batches:
            params, state = step(params, state, batch)
            recorder.add(state)
        dx.plot(recorder.ledger)

    The state of an audited transformation keeps its last row only, and keeps it over
    steps that are not audited; such repeats are left out. `add` waits for the step.
    """

    def __init__(self):
        self._rows: list[Ledger] = []

    def add(self, state: Any) -> None:
        """Keep what is new in a state, a ledger row, or rows stacked by `lax.scan`.

        Args:
            state: of an optax transformation with a ledger in it, wherever nested; or a
                `Ledger`.

        Raises:
            ValueError: there is no ledger in it, rows have more than one axis, or they
                belong to steps before those already kept.
        """
        rows = jax.device_get(_ledger(state))
        if np.ndim(rows.step) > 1:
            raise ValueError(
                f"state: given rows of shape {np.shape(rows.step)}; accepted is one "
                "row, or one axis of rows. Keep a Recorder for each run."
            )
        rows = jax.tree.map(np.atleast_1d, rows)
        last = self._rows[-1].step[-1] if self._rows else -1
        back = (rows.step >= 0) & (rows.step < last)
        if np.any(np.diff(rows.step) < 0) or np.any(back):
            raise ValueError(
                f"state: given rows up to step {rows.step[-1]} after step {last}; "
                "accepted are rows in order. Keep a Recorder for each run."
            )
        new = np.diff(rows.step, prepend=last) > 0
        if new.any():
            self._rows.append(jax.tree.map(lambda a: a[new], rows))

    @property
    def ledger(self) -> Ledger:
        """All rows so far, stacked along time."""
        if not self._rows:
            raise ValueError(
                "ledger: given no row; accepted is one or more, by add(state)."
            )
        return jax.tree.map(lambda *rows: np.concatenate(rows), *self._rows)

    def __len__(self) -> int:
        return sum(len(rows.step) for rows in self._rows)

    def __repr__(self) -> str:
        return f"Recorder of {len(self)} rows"


def _ledger(state: Any) -> Ledger:
    if isinstance(state, Ledger):
        return state
    found = optax.tree.get(state, "ledger")
    if not isinstance(found, Ledger):
        raise ValueError(
            f"state: given {type(state).__name__} without a ledger; accepted is the "
            "state of dx.audit(…) or dx.as_optax(…, every=1), or a dx.Ledger."
        )
    return found
