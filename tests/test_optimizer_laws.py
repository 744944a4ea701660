"""The laws of tests/laws.py, of every optimizer in tests/members.py."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import dynax as dx
from dynax import _tree as tree

from . import laws
from .members import (
    ADAPTIVE,
    CLASSICAL,
    KAPPAS,
    LR,
    MEMBERS,
    RELATIVES,
    Member,
    case,
    each,
    those,
)


BALANCED = dx.AbstractBalancedOptimizer
ONE_LION = {k: m for k, m in MEMBERS.items() if k.endswith("-explicit-0.5")}
ONCE = CLASSICAL | ADAPTIVE | RELATIVES | ONE_LION
FIRSTS = {type(m.opt): name for name, m in reversed(ONCE.items())}

CASES = [
    case(name, law)
    for name, member in MEMBERS.items()
    for law, (of, _) in laws.LAWS.items()
    if isinstance(member.opt, of) and (of is not BALANCED or member.noisy)
]


@pytest.mark.parametrize(
    "name, law", CASES, ids=lambda v: v if isinstance(v, str) else v.__name__
)
def test_law(name, law):
    assert law(laws.seen(name)) <= laws.LAWS[law].tolerance


@each(ONCE)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_structure(name, dtype):
    laws.keeps_structure(MEMBERS[name].opt, dtype)


@each(["heavy", "momentum-nesterov", "hamiltonian"] + those(BALANCED, ADAPTIVE))
def test_low_precision(name):
    """float32 within the round-off model, and to 1e-3 of the terms."""
    f, x = laws.problem(jnp.float32)

    @jax.jit
    def run(lr):
        return dx.tally(dx.iterate(MEMBERS[name].opt, f, x, lr, steps=200)[1])

    for lr in (1e-2, 1e-4):
        v = dx.verdict(run(jnp.float32(lr)), name)
        assert v.status == "holds" and v.error <= 1e-3, str(v)


@each(["adam", "shampoo", "soap"])
def test_flow(name):
    laws.falls_along_diffrax(MEMBERS[name].opt, horizon=1.0)


SMOOTH = [name for name, kappa in KAPPAS.items() if kappa.smooth]
FEW = "softabs", "half"


@pytest.mark.parametrize(
    "name", [k if k in FEW else pytest.param(k, marks=pytest.mark.slow) for k in SMOOTH]
)
def test_flow_of_lion(name):
    laws.falls_along_diffrax(dx.LionKappa.from_flow(KAPPAS[name], 1.0, 0.5, 0.5, lr=LR))


VERIFIED = "momentum-nesterov", "nesterov-c"


@pytest.mark.parametrize(
    "name",
    [
        k if k in VERIFIED else pytest.param(k, marks=pytest.mark.slow)
        for k in CLASSICAL
    ],
)
def test_verify(name):
    """The public check finds nothing wrong with any of them."""
    f, x = laws.problem()
    if name == "mirror-simplex":
        x = tree.map(lambda a: jnp.full_like(a, 1 / a.size), x)
    opt = MEMBERS[name].opt
    # ∛p has no bounded slope at p = 0: no solver keeps its order there
    horizon = None if name == "hamiltonian-second" else 2.0
    v = dx.verify(dx.System(opt, f, x, LR, horizon=horizon), steps=50, states=20)
    certified = isinstance(opt, dx.AbstractLyapunovOptimizer)
    assert v.status == ("holds" if certified else "no certificate"), v.verdicts


# --- optax -------------------------------------------------------------------------

WRAPPED = {"lion-l1-explicit-0.5": 2, "adam": 0, "shampoo-3": 0}
WRAPPERS = laws.wrappers(dx.GradientDescent())


@pytest.mark.parametrize("wrapper", WRAPPERS)
@each(WRAPPED)
def test_optax_wrapper(name, wrapper):
    """Each by itself, around three methods: they are properties of `as_optax`."""
    every = WRAPPED[name]
    tx = laws.wrappers(MEMBERS[name].opt, every)[wrapper]
    laws.works_in_optax(tx, every if wrapper != "chain" else 0)


@each([name for name in FIRSTS.values() if name not in WRAPPED])
def test_optax(name):
    """All of them at once around every class; the state counts, is kept and read."""
    laws.works_in_optax(laws.wrappers(MEMBERS[name].opt)["all"])


# --- bad input ---------------------------------------------------------------------


@each(ONCE)
def test_parameters_of_integers(name):
    _, x = laws.problem()
    with pytest.raises(TypeError, match=r"params\['b'\]: given int"):
        MEMBERS[name].opt.init({"w": x["w"], "b": jnp.arange(3)})


@each(CLASSICAL)
def test_negative_learning_rate(name):
    x, state, grad = laws.seen(name).walk.at(laws.AT)
    with pytest.raises(ValueError, match="learning_rate: given -0.1"):
        MEMBERS[name].opt.step(x, state, grad, -0.1)


# --- controls: every law is broken by something, and by how much -------------------


class Claims(BALANCED):
    """`run`, with all that `claim` says of it; D and H of its flow times `sign`."""

    run: dx.AbstractOptimizer
    claim: BALANCED
    sign: float = 1.0

    def init(self, x):
        return self.run.init(x)

    def update(self, x, state, grad, lr):
        return self.run.update(x, state, grad, lr)

    def flow(self, t, x, state, grad, lr):
        return self.run.flow(t, x, state, grad, lr)

    def energy(self, t, x, state, value, lr):
        return self.sign * self.claim.energy(t, x, state, value, lr)

    def dissipation(self, t, x, state, grad, lr):
        return self.sign * self.claim.dissipation(t, x, state, grad, lr)

    def balance(self, step, smoothness=None):
        return self.claim.balance(step, smoothness)


class Knowing(dx.AbstractOptimizer):
    """Steps `late` times as far where it, or its learning rate, is traced."""

    late: float

    def init(self, x):
        return ()

    def update(self, x, state, grad, lr):
        traced = not tree.is_concrete(grad, self.late, lr)
        return tree.scale(-lr * (self.late if traced else 1.0), grad), state

    def flow(self, t, x, state, grad, lr):
        return tree.scale(-1.0, grad), state


class Narrow(dx.AbstractOptimizer):
    """Forgets the precision of its state; its state is x itself."""

    aliased: bool = eqx.field(static=True)

    def init(self, x):
        return x if self.aliased else tree.zeros_like(x)

    def update(self, x, state, grad, lr):
        narrow = jnp.float64 if self.aliased else jnp.float32
        return tree.scale(-lr, grad), tree.map(lambda a: a.astype(narrow), grad)

    def flow(self, t, x, state, grad, lr):
        return tree.scale(-1.0, grad), tree.zeros_like(state)


HEAVY = dx.HeavyBall(0.5)
WRONG = {  # what breaks the law, and at least by how much
    laws.jit_is_eager: (Member(Knowing(1.01)), 1e-5),
    laws.vmap_is_loop: (
        Member(Knowing(1.0), ((lambda v: Knowing(1 + v), (0.0, 0.01)),)),
        1e-5,
    ),
    laws.tends_to_flow: (Member(Knowing(1.01)), 1e-3),
    laws.claim_is_jvp: (Member(Claims(HEAVY, dx.HeavyBall(0.505))), 1e-3),
    laws.dissipates: (Member(Claims(HEAVY, HEAVY, -1.0)), 1e-3),
    laws.balances: (Member(Claims(HEAVY, dx.HeavyBall(0.505))), 1e-4),
    laws.ledger_holds: (Member(Claims(HEAVY, dx.HeavyBall(0.505))), 10),
    laws.change_is_as_defined: (Member(Claims(HEAVY, HEAVY, 1.01)), 1e-5),
}


def test_every_law_has_a_control():
    assert WRONG.keys() == laws.LAWS.keys()


@pytest.mark.parametrize("law", WRONG, ids=lambda law: law.__name__)
def test_control(law):
    member, least = WRONG[law]
    excess = law(laws.observe(member))
    assert least <= excess < jnp.inf, excess


def test_control_structure():
    for aliased in (False, True):
        with pytest.raises(AssertionError):
            laws.keeps_structure(Narrow(aliased), jnp.float64)


def test_a_nan_is_neither_kept_nor_broken():
    """NaN is not at most any tolerance, nor at least the size of any control."""
    o = laws.seen("heavy")
    nan = lambda a: jnp.full_like(a, jnp.nan)
    o = o._replace(
        walk=jax.tree.map(nan, o.walk),
        swept=jax.tree.map(nan, o.swept),
        moved=jax.tree.map(nan, o.moved),
        energy=jax.tree.map(nan, o.energy),
        rows=(
            *jax.tree.map(nan, o.rows[:2]),
            dx.tally(o.rows[0]._replace(energy=nan(o.rows[1]))),
        ),
    )
    for law, (_, tolerance) in laws.LAWS.items():
        excess = law(o)
        assert not excess <= tolerance and not excess >= WRONG[law][1], law
