"""Lion-κ's relatives: the shared laws, their twins in optax, and what must fail."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax as dx
from dynax import _tree as tree, kappa as K
from dynax.optim import _polar, open_loop
from dynax.optim.adam import Adam
from dynax.optim.cautious_decay import AbstractCertifiedDecay
from dynax.optim.muon import Nuclear
from experiments._virtual import run

from . import laws
from .members import BALL, LR, RELATIVES, lion, turning


# --- rates -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def convex():
    f, _, smoothness, minimum, x = laws.convex(jax.random.key(3))
    return f, smoothness, minimum, x


def test_frank_wolfe_flow_rate(convex, getkey):
    """V̇ ≤ −V inside; on a linear f it is an equality, so 1.01·V is too much."""
    f, _, minimum, x = convex
    opt = dx.FrankWolfe(K.L1(), 100.0)
    assert laws.rate_of_flow(opt, f, minimum, x, getkey()) <= 1e-9

    class Faster(dx.FrankWolfe):
        def decay(self, *args):
            return 1.01 * self.lyapunov(*args)

    linear = lambda x: x[0] - 2 * x[1]
    best = dx.Minimum(jnp.array([-100.0, 100.0]), jnp.asarray(-300.0))
    given = linear, best, x[:2], getkey()
    assert laws.rate_of_flow(opt, *given) <= 1e-9
    assert 1e-3 < laws.rate_of_flow(Faster(K.L1(), 100.0), *given) < 0.1


def test_frank_wolfe_map_rate(convex):
    """f(x_k) − f* ≤ 2L·diam²/(k+2) on a box that cuts the minimum off."""
    f, smoothness, _, x = convex
    radius, square = 0.3, 4 * 0.3**2 * 6
    opt = dx.FrankWolfe(K.L1(), radius)
    run = jax.jit(lambda x: dx.iterate(opt, f, x, open_loop, steps=3000)[1].energy)
    energy = run(radius * jnp.sign(x))
    # projected gradient descent, to the last digits
    descend = lambda x, _: (
        jnp.clip(x - jax.grad(f)(x) / smoothness, -radius, radius),
        None,
    )
    best = f(jax.lax.scan(descend, x, length=4000)[0])
    bound = 2 * smoothness * square / (jnp.arange(3000.0) + 2)
    gap = energy - best
    assert gap.min() > -1e-12 and jnp.all(gap <= bound)
    assert jnp.any(gap > bound / 1000)


def test_distributed_lion_contracts(convex, getkey):
    f, _, minimum, x = convex
    opt = dx.DistributedLion(weight_decay=0.5)
    assert laws.rate_of_flow(opt, f, minimum, x, getkey()) <= 1e-9
    assert laws.rate_of_map(opt, f, minimum, 40 * x, lr=0.1) <= 1e-9

    class Faster(dx.DistributedLion):
        def factor(self, k, lr):
            return 1 - 1.05 * jnp.asarray(lr * self.weight_decay)

    steep = lambda x: -(x @ x) * 1e3  # pulls outwards: the bound is attained
    boast = Faster(weight_decay=0.5)
    assert 1e-4 < laws.rate_of_map(boast, steep, minimum, 40 * x, lr=0.1) < 0.1


# --- twins -----------------------------------------------------------------------


def stateless(change):
    """(update, params, grads) → update, as an optax transformation."""
    return optax.stateless(change)


def mask(updates, grads):
    def leaf(u, g):
        keep = (u * g > 0).astype(u.dtype)
        return u * keep * (u.size / (keep.sum() + 1))

    return jax.tree.map(leaf, updates, grads)


def cautious_twin(inner, lr):
    def update(grads, state, params):
        u, state = inner.update(grads, state, params)
        return jax.tree.map(lambda a: -lr * a, mask(u, grads)), state

    return optax.GradientTransformation(inner.init, update)


def decay_twin(inner, lr, lam):
    def leaf(u, x):
        return -lr * (u + lam * jnp.where(u * x >= 0, x, 0))

    def update(grads, state, params):
        u, state = inner.update(grads, state, params)
        return jax.tree.map(leaf, u, params), state

    return optax.GradientTransformation(inner.init, update)


FALLING = optax.cosine_decay_schedule(1e-2, 60)
TWINS = {
    "sign": (dx.SignSGD(), optax.sign_sgd, 0.0),
    "sign-decay": (
        dx.SignSGD(0.5),
        lambda lr: optax.chain(
            optax.scale_by_sign(),
            optax.add_decayed_weights(0.5),
            optax.scale_by_learning_rate(lr),
        ),
        0.0,
    ),
    "signum": (dx.Signum(0.8), lambda lr: optax.signum(lr, 0.8), 0.0),
    "lion": (
        dx.DistributedLion(weight_decay=0.5),
        lambda lr: optax.lion(lr, weight_decay=0.5),
        0.0,
    ),
    # the matrix products and 1 − βᵏ are rounded otherwise
    "muon": (
        dx.PracticalMuon(weight_decay=0.3),
        lambda lr: optax.contrib.muon(lr, weight_decay=0.3),
        64.0,
    ),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_equals_optax(name, dtype):
    opt, twin, tol = TWINS[name]
    steps, rounding = 50, tol * float(jnp.finfo(dtype).eps)
    noise = steps * 1e-2 * rounding  # of x: each step is ε·O(1)
    _same_run(dx.as_optax(opt, FALLING), twin(FALLING), noise, dtype, steps)


@pytest.mark.parametrize(
    "opt, inner",
    [
        (dx.Signum(0.8), optax.chain(optax.ema(0.8, False), optax.scale_by_sign())),
        (Adam(), optax.scale_by_adam()),
    ],
    ids=["signum", "adam"],
)
def test_wrappers_equal_optax_by_hand(opt, inner):
    _same_run(dx.as_optax(dx.Cautious(opt), 1e-2), cautious_twin(inner, 1e-2), 1e-13)
    ours = dx.as_optax(dx.cautious_decay(opt, 0.5), 1e-2)
    _same_run(ours, decay_twin(inner, 1e-2, 0.5), 1e-13)
    with pytest.raises(AssertionError):  # the twin of the wrong decay
        _same_run(ours, decay_twin(inner, 1e-2, 0.51), 1e-13)


def _same_run(ours, twin, atol, dtype=jnp.float64, steps=50):
    f, x = laws.problem(dtype)

    def train(tx):
        def body(carry, key):
            p, s = carry
            noise = jax.random.normal(key, (), dtype)
            g = jax.tree.map(lambda a: a * (1 + noise) + noise, jax.grad(f)(p))
            with jax.numpy_dtype_promotion("standard"):
                delta, s = tx.update(g, s, p)
                return (optax.apply_updates(p, delta), s), None

        keys = jax.random.split(jax.random.key(7), steps)
        go = lambda p: jax.lax.scan(body, (p, tx.init(p)), keys)[0][0]
        return jax.jit(go)(x)

    for a, b in zip(*map(jax.tree.leaves, (train(ours), train(twin))), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


def test_frank_wolfe_is_lion_without_momentum():
    """Bit for bit at ρ = 1; else to round-off, with ε = γρ and λ = 1/ρ."""
    f, x = laws.problem()
    for radius in (1.0, 3.0):
        for kappa in (K.L1(), K.nuclear(), K.Lp(1.5)):
            a = b = x
            fw = dx.FrankWolfe(kappa, radius)
            other = dx.LionKappa(kappa, 0.0, 0.0, 1 / radius)
            s, m = fw.init(a), other.init(b)
            for k in range(10):
                gamma = open_loop(k) / 2
                a, s = fw.step(a, s, jax.grad(f)(a), gamma)
                b, m = other.step(b, m, jax.grad(f)(b), gamma * radius)
            for u, v in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
                tol = 0.0 if radius == 1 else 1e-13
                np.testing.assert_allclose(u, v, rtol=tol, atol=tol)


# --- Muon's orthogonal factor ------------------------------------------------------


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_newton_schulz_converges(dtype, getkey):
    """Tall, wide, stacked, ill-conditioned: σ = 1 to 64 u for every σ ≥ 100u‖M‖, and
    the subgradient inequality to 64 u √rank."""
    u = float(jnp.finfo(dtype).eps)
    rows, error = _polar.scaled_newton_schulz(u)
    assert len(rows) == {4: 21, 8: 45}[jnp.dtype(dtype).itemsize] and error <= u
    for shape in ((30, 7), (7, 30), (3, 12, 12), (1, 5), (40, 40)):
        m = jax.random.normal(getkey(), shape, dtype)
        fading = jnp.logspace(0, -5, shape[-1], dtype=dtype)
        m = m * fading.reshape((1,) * (len(shape) - 1) + (-1,))
        v = _polar.polar_newton_schulz(m)
        assert v.dtype == dtype
        exact = jnp.linalg.svd(m, compute_uv=False)
        sigma = jnp.linalg.svd(v, compute_uv=False)
        large = exact >= 100 * u * jnp.linalg.norm(m, axis=(-2, -1))[..., None]
        rank = exact.shape[-1]
        assert jnp.max(jnp.abs(jnp.where(large, sigma, 1) - 1)) <= 64 * u
        assert jnp.max(sigma) <= 1 + 64 * u
        gap = jnp.sum(exact) - jnp.sum(m * v)
        assert jnp.abs(gap) <= 64 * u * rank**0.5 * jnp.sum(exact)
    assert jnp.all(_polar.polar_newton_schulz(jnp.zeros((3, 2), dtype)) == 0)


def test_five_steps_do_not(getkey):
    m = jax.random.normal(getkey(), (12, 30)) * jnp.logspace(0, -2, 30)[None]
    sigma = jnp.linalg.svd(_polar.five_steps(m), compute_uv=False)
    assert jnp.max(jnp.abs(sigma - 1)) > 0.05


@pytest.mark.parametrize("factor", ["svd", "newton-schulz"])
def test_stacked_is_a_loop(factor, getkey):
    m = jax.random.normal(getkey(), (4, 3, 5))
    kappa = Nuclear(factor, stacked=True)
    each = [K.nuclear().grad(a) for a in m]
    np.testing.assert_allclose(kappa.grad(m), jnp.stack(each), atol=1e-11)
    values = sum(K.nuclear().value(a) for a in m)
    np.testing.assert_allclose(kappa.value(m), values, rtol=1e-13)
    flat = Nuclear(factor).grad(m)
    np.testing.assert_allclose(flat, K.nuclear().grad(m), atol=1e-11)


# --- workers ---------------------------------------------------------------------


def test_identical_workers_are_one(getkey):
    f, x = laws.problem()
    g = jax.grad(f)(x)
    alone = dx.DistributedLion(weight_decay=0.5)
    one = alone.step(x, alone.init(x), g, 0.1)
    for vote in ("majority", "mean"):
        opt = dx.DistributedLion("workers", vote, weight_decay=0.5)
        step = lambda _, opt=opt: opt.step(x, opt.init(x), g, 0.1)
        many = jax.vmap(step, axis_name="workers")(jnp.arange(5))
        for a, b in zip(jax.tree.leaves(many), jax.tree.leaves(one), strict=True):
            np.testing.assert_array_equal(a, jnp.broadcast_to(b, a.shape))


def test_shard_map():
    """On 8 virtual devices, in a process of its own."""
    script = pathlib.Path(__file__).with_name("distributed.py")
    assert run(str(script), devices=8) == "ok\n"


# --- what the wrappers return ------------------------------------------------------


def test_types_say_what_is_known():
    known = (
        dx.GradientDescent(),
        dx.SignSGD(),
        dx.Momentum(),
        dx.HeavyBall(),
        dx.Signum(),
        lion(K.Quartic()),
        Adam(),
    )
    unknown = (
        dx.SignSGD(0.1),
        dx.Momentum(nesterov=True),
        dx.Muon(),
        dx.PracticalMuon(),
        lion(K.SparseL1(0.1)),
        lion(K.Lp(1.5)),
        lion(K.L1(), lam=0.1),
        dx.Cautious(dx.SignSGD()),
    )
    for opt in known:
        assert isinstance(dx.cautious_decay(opt, 0.1), AbstractCertifiedDecay), opt
    for opt in unknown:
        found = dx.cautious_decay(opt, 0.1)
        assert type(found) is dx.CautiousDecay, opt
        assert not isinstance(found, dx.AbstractLyapunovOptimizer)
    found = dx.cautious_decay(Adam(), 0.1)
    assert isinstance(found, dx.AbstractConditionalOptimizer)
    assert not isinstance(dx.PracticalMuon(), dx.AbstractLyapunovOptimizer)


# --- controls: what must be rejected -----------------------------------------------


class PlainDecay(dx.AbstractOptimizer):
    """Decay everywhere, not only where it goes along with the step."""

    opt: dx.AbstractOptimizer
    weight_decay: float

    def init(self, x):
        return self.opt.init(x)

    def update(self, x, state, grad, lr):
        delta, state = self.opt.update(x, state, grad, lr)
        return tree.sub(delta, tree.scale(lr * self.weight_decay, x)), state

    def flow(self, t, x, state, grad, lr):
        rate, dstate = self.opt.flow(t, x, state, grad, lr)
        return tree.sub(rate, tree.scale(self.weight_decay, x)), dstate


def ascending(t, g):
    return jax.tree.map(jnp.negative, turning(t, g))


class NotAdjoint(dx.AbstractLyapunovOptimizer):
    """Online subspace descent whose way back is not the transpose of the way there."""

    right: dx.OnlineSubspaceDescent
    wrong: dx.OnlineSubspaceDescent

    def init(self, x):
        return self.right.init(x)

    def update(self, x, state, grad, lr):
        _, after = self.right.update(x, state, grad, lr)
        return self.wrong.update(x, state, grad, lr)[0], after

    def flow(self, t, x, state, grad, lr):
        _, dstate = self.right.flow(t, x, state, grad, lr)
        return self.wrong.flow(t, x, state, grad, lr)[0], dstate

    def energy(self, t, x, state, value, lr):
        return self.right.energy(t, x, state, value, lr)

    def dissipation(self, t, x, state, grad, lr):
        return self.right.dissipation(t, x, state, grad, lr)


OPT = {name: member.opt for name, member in RELATIVES.items()}
WRONG = {
    f"{name} × 1.01": laws.Tampered(OPT[name], OPT[name], 1.01)
    for name in ("signum", "cautious-ball", "cwd-lion", "osd-ball", "fw-box")
} | {
    "H of the base, no mask": laws.Tampered(BALL, dx.CautiousHamiltonian(BALL)),
    "f of the base, no mask": laws.Tampered(BALL, dx.Cautious(BALL, scaled=False)),
    "cwd-sgdm, plain decay": laws.Tampered(
        PlainDecay(dx.Momentum(), 0.5), OPT["cwd-sgdm"]
    ),
    "cwd-adam, plain decay": laws.Tampered(PlainDecay(Adam(), 0.5), OPT["cwd-adam"]),
    "not the transpose": NotAdjoint(
        dx.OnlineSubspaceDescent(BALL, turning),
        dx.OnlineSubspaceDescent(BALL, ascending),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_claim_is_rejected(name):
    found = laws.broken(WRONG[name], laws.claim_is_jvp, lr=0.3)
    assert 1e-3 < found["claim_is_jvp"] < np.inf


SMALL = 1e-2  # the learning rate at which the conditions below are met just so
LOOKING_AHEAD = {  # an optimizer, and the largest λ for which −V̇ ≥ 0 is proved
    "sgd": (dx.GradientDescent(), None),
    "sgdm": (dx.Momentum(), 2 / SMALL),
    "ball": (dx.HeavyBall(), None),
    "sign": (dx.SignSGD(), None),
    "lion": (lion(K.SoftAbs(0.2), 0.5), 0.01 / 0.5 / SMALL),
    "lion-l1": (lion(K.L1(), 0.9), 0.01 / 0.1 / SMALL),
    "quartic": (lion(K.Quartic(), 0.5, 0.5), 1 / SMALL),
    "adam": (Adam(bias_correction=False), None),
}


@pytest.mark.parametrize("name", LOOKING_AHEAD)
def test_decay_dissipates_everywhere(name, getkey):
    """−V̇ ≥ 0 at any state and any gradient; not if λ is far beyond the condition."""
    opt, most = LOOKING_AHEAD[name]

    @jax.jit
    def least(lam, key):
        decayed = dx.cautious_decay(opt, lam)

        def at(key):
            keys = jax.random.split(key, 5)
            draw = lambda k, a: (
                jax.random.normal(k, a.shape)
                * jnp.exp(2 * jax.random.normal(keys[4], a.shape))
            )
            x, g = draw(keys[0], jnp.zeros(3)), draw(keys[1], jnp.zeros(3))
            state = tree.map(lambda a: draw(keys[2], a), opt.init(x))
            if isinstance(opt, Adam):
                v = tree.map(jnp.square, draw(keys[3], x))
                state = opt.init(x)._replace(m=state.m, v=v)
            return decayed.dissipation(0.0, x, state, g, SMALL)

        return jnp.min(jax.vmap(at)(jax.random.split(key, 4000)))

    key = getkey()
    assert least(0.5, key) >= -1e-9
    if most is not None:
        assert least(most, key) >= -1e-9 * most
        assert least(100 * most, key) < -1e-3
    else:
        assert least(1e4, key) >= -1e-9


@pytest.mark.parametrize(
    "claim, run, check",
    [
        (dx.SignSGD(0.4), dx.SignSGD(0.5), "domain"),
        (dx.Signum(0.8, 0.5), dx.Signum(0.9, 0.5), "momentum"),
        (dx.Muon(0.9), dx.Muon(0.9, nesterov=False), "subgradient"),
        (dx.FrankWolfe(K.L1(), 1.9), dx.FrankWolfe(K.L1(), 2.0), "domain"),
        (
            dx.StochasticFrankWolfe(K.L1(), 2.0, 0.8),
            dx.StochasticFrankWolfe(K.L1(), 2.0, 0.9),
            "momentum",
        ),
        (
            dx.ThresholdedCautious(dx.Momentum(), 5.0),
            dx.ThresholdedCautious(dx.Momentum(), 0.02),
            "descent",
        ),
    ],
    ids=["sign", "signum", "muon", "frank-wolfe", "stochastic", "thresholded"],
)
def test_wrong_balance_is_violated(claim, run, check):
    more = {"lr": 0.3 if check == "descent" else LR, "steps": 60}
    v = laws.audited(claim, run, **more)
    assert v.status == "violated" and v.checks[check]["violations"], str(v)
    # the thresholded one rests after two steps: nothing to see on the other rows
    rests, right = ("undecided", claim) if check == "descent" else ("holds", run)
    v = laws.audited(right, right, **more)
    assert v.status == rests, str(v)


def test_thresholded_falls_and_may_freeze():
    """f never rises, whatever ε; at a large ε nothing is kept and x stands still."""
    f, x = laws.problem()
    run = jax.jit(
        lambda L, lr: dx.iterate(
            dx.ThresholdedCautious(dx.Momentum(), L), f, x, lr, steps=150
        )
    )
    for lr in (1e-2, 0.1, 1.0):
        (y, _), rows = run(6.0, lr)
        v = dx.verdict(rows, "thresholded")
        # where it rests there is nothing to see, and the verdict says so
        assert v.violations == 0 and v.rises == 0, str(v)
    (y, _), _ = run(1e6, 1.0)
    pairs = zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
    assert all(jnp.all(a == b) for a, b in pairs)


# --- bad input -------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: dx.SignSGD(-1.0), ValueError, "weight_decay: given -1"),
        (lambda: dx.Signum(1.0), ValueError, "beta: given 1.0"),
        (lambda: dx.Muon(beta=-0.1), ValueError, "beta: given -0.1"),
        (lambda: dx.Muon(factor="qr"), ValueError, "factor: given 'qr'"),
        (lambda: dx.PracticalMuon(eps=0.0), ValueError, "eps: given 0.0"),
        (lambda: dx.DistributedLion(vote="all"), ValueError, "vote: given 'all'"),
        (lambda: dx.FrankWolfe("l1"), TypeError, "kappa: given str"),
        (lambda: dx.FrankWolfe(K.L1(), 0.0), ValueError, "radius: given 0.0"),
        (lambda: dx.Cautious("lion"), TypeError, "opt: given str"),
        (
            lambda: dx.CautiousHamiltonian(dx.PracticalMuon()),
            TypeError,
            "opt: given PracticalMuon",
        ),
        (
            lambda: dx.CautiousHamiltonian(lion(K.L1(), lam=0.1)).init(jnp.ones(3)),
            ValueError,
            "opt: given LionKappa, whose energy depends on x",
        ),
        (
            lambda: dx.OnlineSubspaceDescent(lion(K.L1(), lam=0.1), turning).init(
                laws.problem()[1]
            ),
            ValueError,
            "opt: given LionKappa, whose energy depends on x",
        ),
        (
            lambda: dx.OnlineSubspaceDescent(BALL, 3),
            TypeError,
            "project: given int",
        ),
        (
            lambda: dx.ThresholdedCautious(BALL, -1.0),
            ValueError,
            "smoothness: given -1.0",
        ),
        (
            lambda: dx.CautiousDecayLyapunov(dx.Muon(), 0.1),
            ValueError,
            "opt: given Muon",
        ),
        (lambda: dx.CautiousDecay(BALL, -0.1), ValueError, "weight_decay: given -0.1"),
    ],
)
def test_bad_input(make, error, text):
    with pytest.raises(error, match=text):
        make()


# --- the least subgradient ---------------------------------------------------------


def gradients():
    """Matrices of less than full rank, and their ranks."""
    left, right = np.cos(np.arange(5.0)), 1 + np.sin(np.arange(4.0))
    one = np.outer(left, right)
    row = np.zeros((5, 4))
    row[2] = right
    two = one + np.outer(np.sin(np.arange(5.0)), np.cos(np.arange(4.0) ** 2))
    return {
        "zero": (np.zeros((5, 4)), 0),
        "ones": (np.ones((5, 4)), 1),
        "row": (row, 1),
        "one": (one, 1),
        "two": (two, 2),
    }


def exact(g, rank):
    """UVᵀ over the singular values that are not 0, by NumPy in float64."""
    u, _, vt = np.linalg.svd(g)
    return u[:, :rank] @ vt[:rank]


@pytest.mark.parametrize(
    "kappa", [K.nuclear(), Nuclear(), K.OrthogonallyInvariant(K.SparseL1(0.0))]
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_least_subgradient_is_taken(kappa, dtype):
    """Of a matrix without full rank: no move where there is no gradient, and the same
    one for a gradient a rounding away. The control is what an SVD alone would give."""
    for name, (g, rank) in gradients().items():
        seen = np.asarray(kappa.grad(jnp.asarray(g, dtype)))
        eps = float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(seen, exact(g, rank), atol=40 * eps, err_msg=name)
        nearby = np.asarray(kappa.grad(jnp.asarray(g * (1 + 2 * eps), dtype)))
        np.testing.assert_allclose(seen, nearby, atol=80 * eps, err_msg=name)
        u, _, vt = np.linalg.svd(g, full_matrices=False)
        assert np.max(np.abs(u @ vt - exact(g, rank))) > 0.1


def test_muon_agrees_with_optax_on_what_has_no_gradient():
    """An unused matrix stays; optax's Newton–Schulz steps leave it too."""
    x = {"used": jnp.full((4, 3), 0.1), "unused": jnp.zeros((3, 3))}
    f = lambda x: jnp.sum((x["used"] @ jnp.ones(3) - 1) ** 2)
    ends = []
    for tx in (dx.as_optax(dx.Muon(), 1e-2), optax.contrib.muon(1e-2)):

        def body(carry, _, tx=tx):
            x, state = carry
            with jax.numpy_dtype_promotion("standard"):
                delta, state = tx.update(jax.grad(f)(x), state, x)
            return (optax.apply_updates(x, delta), state), None

        with jax.numpy_dtype_promotion("standard"):
            start = x, tx.init(x)
        ends.append(
            jax.jit(lambda c, body=body: jax.lax.scan(body, c, length=60))(start)
        )
    for (end, _), _ in ends:
        np.testing.assert_array_equal(end["unused"], 0)
        assert f(end) < f(x)
