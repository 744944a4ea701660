"""One optimizer for some of the parameters, another for the rest, whatever they are."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import optax
from jaxtyping import PyTree

from dynax import _tree as tree
from dynax._types import Params, ScalarLike, State
from dynax.flow import (
    AbstractOptimizer,
    AbstractRefinableOptimizer,
    AbstractSwitchedOptimizer,
    is_continuous,
)
from dynax.optim._relatives import check_optimizer, refine


class PartitionState(NamedTuple):
    """The states of the parts by label. The other leaves are masked, as in optax."""

    parts: dict[str, State]


class AbstractParts(AbstractRefinableOptimizer, AbstractSwitchedOptimizer):
    """Give each part of the parameters an optimizer and a learning rate of its own."""

    optimizers: eqx.AbstractVar[Mapping[str, AbstractOptimizer]]
    labels: eqx.AbstractVar[PyTree[str] | Callable[[Params], PyTree[str]]]
    rates: eqx.AbstractVar[dict[str, ScalarLike]]
    accepted: eqx.AbstractClassVar[type]

    def __check_init__(self):
        for opt in self.optimizers.values():
            check_optimizer(opt, self.accepted)
        unknown = set(self.rates) - set(self.optimizers)
        if unknown or not self.optimizers:
            raise ValueError(
                f"rates: given {sorted(unknown)}; accepted are the labels of "
                f"optimizers, {sorted(self.optimizers)}."
            )

    @property
    def continuous(self):
        return all(map(is_continuous, self.optimizers.values()))

    def refined(self, lr, finer):
        optimizers = {
            k: refine(opt, self._rate(k, lr), self._rate(k, finer))
            for k, opt in self.optimizers.items()
        }
        return dataclasses.replace(self, optimizers=optimizers)

    def init(self, x):
        tree.check_params(x)
        parts = self._cut(x, x)
        return PartitionState({k: self.optimizers[k].init(p) for k, (p,) in parts})

    def update(self, x, state, grad, lr):
        moves = {}
        for k, (x_, g) in self._cut(x, x, grad):
            moves[k] = self.optimizers[k].update(
                x_, state.parts[k], g, self._rate(k, lr)
            )
        return _joined(moves)

    def flow(self, t, x, state, grad, lr):
        moves = {}
        for k, (x_, g) in self._cut(x, x, grad):
            rho = self.rates.get(k, 1.0)
            rate = self.optimizers[k].flow(t, x_, state.parts[k], g, lr * rho)
            moves[k] = tree.scale(rho, rate)
        return _joined(moves)

    def _rate(self, label: str, lr: ScalarLike) -> ScalarLike:
        return lr * self.rates[label] if label in self.rates else lr

    def _cut(self, x: Params, *trees: PyTree) -> list[tuple[str, tuple]]:
        """(label, trees with all but the leaves of that label masked)."""
        labels = self._labels(x)
        if labels is None:
            return [(label, trees) for label in self.optimizers]

        def only(label, t):
            keep = lambda name, a: a if name == label else optax.MaskedNode()
            return tree.map(keep, labels, t)

        return [(k, tuple(only(k, t) for t in trees)) for k in self.optimizers]

    def _labels(self, x: Params) -> PyTree[str] | None:
        if not tree.leaves(x):  # optax maps over a state by a tree without arrays
            return None
        labels = self.labels(x) if callable(self.labels) else self.labels
        try:
            labels = jax.tree.broadcast(labels, x)
        except ValueError as error:
            raise ValueError(
                f"labels: given {jax.tree.structure(labels)}; accepted is a tree of "
                f"labels that is a prefix of the parameters, {jax.tree.structure(x)}."
            ) from error
        unknown = {str(k) for k in tree.leaves(labels)} - set(self.optimizers)
        if unknown:
            raise ValueError(
                f"labels: given {sorted(unknown)}; accepted are those of optimizers, "
                f"{sorted(self.optimizers)}."
            )
        return labels


class Mixed(AbstractParts):
    """Give each part of the parameters an optimizer of any kind: no common energy.

    x = (x₁, x₂, …), each part with an optimizer and a learning rate εᵢ = ρᵢε. The
    recipe of most races, as in

        Mixed({"hidden": NorMuon(), "rest": AdamW()}, labels, rates={"rest": 0.1})

    No certificate: what is known of one part holds of that part, at any gradient. Where
    every part has a balance, `Partition` has one too.

    Twin: optax.partition.

    Args:
        optimizers: by label.
        labels: as optax's `param_labels`: a tree of labels (or a prefix of one) like
            the parameters, or a function that makes it.
        rates: ρ by label, 1 unless named; 0 freezes a part.
    """

    optimizers: dict[str, AbstractOptimizer]
    labels: PyTree[str] | Callable[[Params], PyTree[str]]
    rates: dict[str, ScalarLike] = eqx.field(default_factory=dict)
    accepted: ClassVar[type] = AbstractOptimizer


def _joined(moves: Mapping[str, tuple[Any, State]]) -> tuple[Any, PartitionState]:
    """The parts' moves of x as one tree, and their states."""
    masked = lambda a: isinstance(a, optax.MaskedNode)
    pick = lambda *entries: next((a for a in entries if not masked(a)), entries[0])
    whole = jax.tree.map(pick, *(move for move, _ in moves.values()), is_leaf=masked)
    return whole, PartitionState({k: state for k, (_, state) in moves.items()})
