"""What `verify` may call `holds`: the map as run, each leaf, an energy that falls."""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynax as dx
from dynax import _tree as tree
from dynax.lyapunov import Check


class Mixture(dx.AbstractConditionalOptimizer):
    """ẋ = p·v − q·∇f − r·x,  v̇ = −γv − ∇f;  H = a·f + b·½‖v‖² + c·½‖x‖² + k·t.

    D = −Ḣ exactly, times `claim`. The map is the flow's Euler step, but that it moves
    the leaf "b" times `side`, and everything times `late` from time `turn` on.
    """

    a: jax.Array
    b: jax.Array
    c: jax.Array
    k: jax.Array
    p: jax.Array
    q: jax.Array
    r: jax.Array
    gamma: jax.Array
    claim: jax.Array
    side: jax.Array
    late: jax.Array
    turn: jax.Array

    def init(self, x):
        return tree.zeros_like(x), jnp.zeros((), tree.result_dtype(x))

    def update(self, x, state, grad, lr):
        dx_, (dv, _) = self.flow(0.0, x, state, grad, lr)
        dx_ = dx_ | {"b": self.side * dx_["b"]}
        sign = jnp.where(state[1] < self.turn, 1.0, self.late)
        step = lambda d: tree.scale(lr * sign, d)
        return step(dx_), (tree.add(state[0], step(dv)), state[1] + lr)

    def flow(self, t, x, state, grad, lr):
        v, one = state[0], jnp.ones(())
        dx_ = lambda x, v, g: self.p * v - self.q * g - self.r * x
        dv = lambda v, g: -self.gamma * v - g
        return tree.map(dx_, x, v, grad), (tree.map(dv, v, grad), one)

    def condition(self):
        """What is always so; no certificate of anything."""
        return {"always": Check(jnp.ones(()), jnp.zeros(()))}

    def energy(self, t, x, state, value, lr):
        v = state[0]
        moving = self.b * tree.vdot(v, v) / 2 + self.c * tree.vdot(x, x) / 2
        return self.a * value + moving + self.k * t

    def dissipation(self, t, x, state, grad, lr):
        dx_, (dv, _) = self.flow(t, x, state, grad, lr)
        rate = self.a * tree.vdot(grad, dx_) + self.b * tree.vdot(state[0], dv)
        return -self.claim * (rate + self.c * tree.vdot(x, dx_) + self.k)


def mixture(**changes):
    """A heavy ball, changed."""
    given = dict.fromkeys((f.name for f in dataclasses.fields(Mixture)), 0.0)
    given |= dict.fromkeys(("a", "b", "p", "gamma", "claim", "side", "late"), 1.0)
    given["turn"] = 1e9
    return Mixture(**{k: jnp.asarray(v) for k, v in (given | changes).items()})


def f(x):
    """The gradients of "b" are a millionth of those of "w"."""
    return jnp.sum(jnp.cos(x["w"]) + x["w"] ** 2) + 1e-6 * jnp.sum((x["b"] - 2) ** 2)


START = {"w": jnp.array([0.5, -1.0, 2.0]), "b": jnp.array([1.0, 3.0])}


def verify(**changes):
    system = dx.System(mixture(**changes), f, START, horizon=None)
    return dx.verify(system, steps=40, states=20)


def test_a_right_flow_holds_and_says_that_its_map_is_not_certified():
    result = verify()
    assert result.status == "holds", result
    assert result.summary.startswith("holds: flow; the map is not certified, but tends")
    assert result.verdicts["map"].status == "no certificate"
    assert result.verdicts["limit"].audited == 37


@pytest.mark.parametrize(
    "changes, leaf, first",
    [
        ({"side": -1.0}, "x['b']", 3),
        ({"side": 0.0}, "x['b']", 3),
        ({"late": -1.0, "turn": 0.305}, "", 31),
    ],
    ids=["a small leaf the wrong way", "a small leaf not at all", "all, from step 31"],
)
def test_a_map_that_is_not_its_flow_is_violated(changes, leaf, first):
    result = verify(**changes)
    assert result.status == "violated" and result.summary == "violated: limit"
    limit = result.verdicts["limit"]
    assert limit.first == first and f"first broken by {leaf}" in limit.claim
    assert result.verdicts["pointwise"].status == "holds"


VACUOUS = {
    "H = 0": ("no motion changes H", {"a": 0.0, "b": 0.0}),
    "H = −t": ("no motion changes H", {"a": 0.0, "b": 0.0, "k": -1.0}),
    "at rest": ("not grow with a loss", {"p": 0.0, "b": 0.0}),
    "no f": (
        "not grow with a loss",
        {"a": 0.0, "b": 0.0, "c": 1.0, "r": 1.0, "p": 0.0},
    ),
    "−f": ("not grow with a loss", {"a": -1.0, "b": 0.0, "p": 0.0, "q": -1.0}),
    "f − ct": ("by its clock alone", {"b": 0.0, "p": 0.0, "q": -1.0, "k": -1e3}),
}


@pytest.mark.parametrize("name", VACUOUS)
def test_an_energy_that_cannot_fail_is_no_certificate(name):
    reason, changes = VACUOUS[name]
    result = verify(**changes)
    assert result.status == "no certificate", result.summary
    assert result.verdicts["condition"].status == "holds"
    assert reason in result.verdicts["pointwise"].reason


def test_a_conserved_energy_can_fail():
    result = verify(gamma=0.0)
    assert result.status == "holds"
    assert "H is conserved, no fall is claimed" in result.verdicts["pointwise"].claim
    assert verify(gamma=0.0, b=2.0, claim=0.0).status == "violated"


def test_a_step_that_is_nothing_like_the_flow_is_undecided():
    """Euler at ten times the largest stable step, for a few steps: finite, but far."""
    system = dx.System(dx.HeavyBall(), f, START, learning_rate=5.0, horizon=None)
    result = dx.verify(system, steps=8, states=20)
    assert result.verdicts["limit"].status != "holds"
    assert result.status in ("undecided", "violated")
    assert np.all(np.isfinite(result.ledger.energy))


def test_it_compiles_a_dozen_programs():
    """At most, though parameters of this shape are new to the process."""
    seen = []
    count = lambda event, duration, **_: seen.append(event)
    start = {"w": jnp.ones((3, 3)), "b": jnp.ones(4)}
    with _listening(count):
        result = dx.verify(dx.System(dx.Adam(), f, start), steps=30, states=20)
    assert result.status == "holds" and set(result.verdicts) >= {"condition", "flow"}
    assert 3 <= seen.count("/jax/core/compile/backend_compile_duration") <= 12


@contextlib.contextmanager
def _listening(listener):
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
