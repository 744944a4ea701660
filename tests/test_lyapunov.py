import json

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dynax as dx
from dynax import _tree as tree, kappa as K
from dynax._reduce import LANES, one_pass
from dynax.lyapunov import NEVER, Check, ledger_row

from . import laws
from .members import Member


class HeavyBall(dx.AbstractLyapunovOptimizer):
    """ẋ = v,  v̇ = −γv − ∇f(x).   H = f + ½‖v‖²,   Ḣ = −γ‖v‖²."""

    gamma: float = 1.0

    def init(self, x):
        return tree.zeros_like(x)

    def update(self, x, state, grad, lr):
        shrink = 1 / (1 + lr * self.gamma)
        v = tree.map(lambda v, g: (v - lr * g) * shrink, state, grad)
        return tree.scale(lr, v), v

    def flow(self, t, x, state, grad, lr):
        return state, tree.map(lambda v, g: -self.gamma * v - g, state, grad)

    def energy(self, t, x, state, value, lr):
        return value + tree.vdot(state, state) / 2

    def dissipation(self, t, x, state, grad, lr):
        return self.gamma * tree.vdot(state, state)


class Descent(dx.AbstractOptimizer):
    """ẋ = −∇f(x), no energy claimed."""

    def init(self, x):
        return ()

    def update(self, x, state, grad, lr):
        return tree.scale(-lr, grad), state

    def flow(self, t, x, state, grad, lr):
        return tree.scale(-1.0, grad), state


class Boastful(HeavyBall):
    """The control: claims to dissipate 5 % more than it does."""

    def dissipation(self, t, x, state, grad, lr):
        return 1.05 * self.gamma * tree.vdot(state, state)


def test_lie_derivative_of_a_time_dependent_energy():
    """V = t²|y|², ẏ = −y:  V̇ = 2t|y|² − 2t²|y|²."""
    energy = lambda t, y, args: t**2 * jnp.sum(y**2)
    v, dv = dx.lie_derivative(energy, lambda t, y, args: -y)(3.0, jnp.ones(2))
    np.testing.assert_allclose([v, dv], [18.0, 12.0 - 36.0])


def test_along_is_a_diffrax_save_function():
    energy = lambda t, y, args: jnp.sum(y**2)
    field = lambda t, y, args: -y
    sol = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0.0,
        1.0,
        0.01,
        jnp.ones(3),
        saveat=diffrax.SaveAt(ts=jnp.array([0.0, 1.0]), fn=dx.along(energy, field)),
    )
    np.testing.assert_allclose(sol.ys["V"], 3 * jnp.exp(jnp.array([0.0, -2.0])))
    np.testing.assert_allclose(sol.ys["dV"], -2 * sol.ys["V"])


# --- tally and verdict -----------------------------------------------------------


def rows(margins, tolerance=0.1, energy=None, facts=None):
    margins = jnp.asarray(margins)
    zero = jnp.zeros_like(margins)
    return ledger_row(
        jnp.arange(len(margins)),
        zero if energy is None else jnp.asarray(energy),
        zero - 1,
        {"balance": Check(margins, zero + tolerance)},
        predicted=zero,
        defect=margins,
        scale=zero + 2,
        facts=facts,
    )


def test_verdicts():
    assert dx.verdict(rows([0.0, 1.0, -0.1]), "c").status == "holds"
    v = dx.verdict(rows([0.0, -0.3, -0.2, 0.0]), "c")
    assert (v.status, v.violations, v.first) == ("violated", 2, 1)
    assert v.worst is not None and v.worst["worst_step"] == 1
    v = dx.verdict(rows([0.0, 0.0], energy=[0.0, jnp.nan]), "c")
    assert (v.status, v.non_finite) == ("undecided", 1)
    v = dx.verdict(rows([-1.0, 0.0], energy=[0.0, jnp.nan]), "c")
    assert v.status == "violated"
    assert dx.verdict(rows([]), "c").status == "undecided"
    assert dx.verdict(rows([0.0])._replace(checks={}), "c").status == "no certificate"
    nan = rows([0.0, jnp.nan, -5.0])
    assert dx.verdict(nan, "c").violations == 1


def test_tally_is_a_monoid():
    a, b, c = (rows(m) for m in ([0.0, -0.3], [0.2, -0.9, 0.1], [-0.2, jnp.nan]))
    shift = lambda r, k: r._replace(step=r.step + k)
    parts = [dx.tally(r) for r in (a, shift(b, 2), shift(c, 5))]
    left = dx.merge(dx.merge(parts[0], parts[1]), parts[2])
    right = dx.merge(parts[0], dx.merge(parts[1], parts[2]))
    whole = jax.tree.map(lambda *x: jnp.concatenate(x), a, shift(b, 2), shift(c, 5))
    for other in (right, dx.tally(whole)):
        for x, y in zip(*map(jax.tree.leaves, (left, other)), strict=True):
            np.testing.assert_array_equal(x, y)
    unused = dx.tally(shift(a, -NEVER))
    for x, y in zip(*map(jax.tree.leaves, (dx.merge(unused, left), left)), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_row_derives_what_is_not_given():
    """defect = change − predicted, scale = Σ|terms|; nothing predicted, no balance."""
    check = {"fall": Check(jnp.array([1.0, 1.0]), jnp.array([0.1, 0.1]))}
    two, change = jnp.arange(2), jnp.array([-3.0, -1.0])
    parts = {"a": jnp.array([2.0, -1.0]), "b": jnp.array([-1.0, 0.5])}
    row = ledger_row(two, change, change, check, predicted=change + 0.5, terms=parts)
    np.testing.assert_array_equal(row.defect, [-0.5, -0.5])
    np.testing.assert_array_equal(row.scale, [3, 1.5])
    v = dx.verdict(row, "c")
    assert v.error == 0.5 / 1.5 and v.resolution is None and "not judged" in str(v)

    alone = ledger_row(two, change, change, check)
    np.testing.assert_array_equal(alone.scale, [3, 1])
    v = dx.verdict(dx.merge(*[dx.tally(alone)] * 2), "c")
    assert (alone.predicted, alone.defect, v.error, v.outside) == (None,) * 4
    assert v.status == "holds" and "no balance" in str(v) and "outside" not in str(v)

    facts = {"outside": jnp.array([True, False, True])}
    v = dx.verdict(rows([0.0, 0.0, 0.0], facts=facts), "c")
    assert v.outside == 2 and "outside its domain on 2 of 3 rows" in str(v)


def test_verdict_is_strict_json():
    v = dx.verdict(rows([]), "c")
    text = json.loads(v.to_json())
    assert text["checks"]["balance"]["worst"] is None
    # as written before a ledger could lack a balance: no column was null
    numbers = {"outside": 0, "error": 0.25, "resolution": 0.0}
    old = {**text, **numbers, "assumes": tuple(text["assumes"])}
    assert "largest |defect|/Σ|terms| 2.5e-01" in str(dx.Verdict(**old))


# --- the optimizer of a user -----------------------------------------------------


def test_heavy_ball_obeys_the_laws():
    sweep = HeavyBall, (0.5, 2.0)
    assert not laws.broken(Member(HeavyBall(0.7), (sweep,)))
    laws.keeps_structure(HeavyBall(0.7), jnp.float64)
    laws.falls_along_diffrax(HeavyBall(0.7))
    laws.works_in_optax(laws.wrappers(HeavyBall())["all"])


def test_wrong_dissipation_is_violated():
    assert laws.broken(Boastful())["claim_is_jvp"] > 1e-3
    f, x = laws.problem()
    result = dx.verify(dx.System(Boastful(), f, x, horizon=3.0), steps=20, states=20)
    assert result.status == "violated"
    checks = result.verdicts["flow"].checks
    assert checks["balance"]["violations"] and checks["identity"]["violations"]
    assert not checks["fall"]["violations"]
    assert result.verdicts["pointwise"].status == "violated"


def test_wrong_map_is_not_the_flow():
    class Late(HeavyBall):
        def update(self, x, state, grad, lr):
            return tree.scale(0.9 * lr, state), state

    assert laws.broken(Late())["tends_to_flow"] > 1e-3
    f, x = laws.problem()
    result = dx.verify(dx.System(Late(), f, x, horizon=None), steps=5, states=5)
    assert result.verdicts["limit"].status == "violated"


def test_verify_says_what_it_cannot_judge():
    f, x = laws.problem()
    result = dx.verify(dx.System(Descent(), f, x), steps=10)
    assert set(result.verdicts) == {"map", "limit"}
    assert result.verdicts["map"].status == "no certificate"
    assert isinstance(dx.as_flow(Descent(), f), dx.Flow)
    assert not isinstance(dx.as_flow(Descent(), f), dx.LyapunovFlow)
    with pytest.raises(TypeError, match="flow: given Flow; accepted is a LyapunovFlow"):
        dx.WithDissipation(dx.as_flow(Descent(), f))


def test_unfinished_solve_is_undecided():
    """A nearly-sign flow has no adaptive solution worth the name: never `holds`."""
    f, x = laws.problem()
    opt = dx.LionKappa.from_flow(K.SoftAbs(1e-9), 1.0, 0.5, 0.5, lr=1e-2)
    result = dx.verify(dx.System(opt, f, x, horizon=30.0), steps=5, states=5)
    assert result.verdicts["flow"].status != "holds"


# --- the ledger of a training loop -----------------------------------------------


@pytest.mark.parametrize("every", [1, 3])
def test_ledger_is_found_in_the_state(every):
    f, x = laws.problem()
    tx = dx.as_optax(dx.LionKappa(weight_decay=0.5), 1e-2, every=every)

    def body(carry, _):
        p, s = carry
        value, grad = jax.value_and_grad(f)(p)
        delta, s = tx.update(grad, s, p, value=value, value_fn=f)
        return (optax.apply_updates(p, delta), s), optax.tree.get(s, "ledger").step

    with jax.numpy_dtype_promotion("standard"):
        (_, state), steps = jax.lax.scan(body, (x, tx.init(x)), length=12)
    np.testing.assert_array_equal(steps, np.arange(12) // every * every)
    v = dx.verdict(optax.tree.get(state, "tally"), "lion")
    assert (v.status, v.audited) == ("holds", 12 // every), str(v)


def test_audit_of_somebody_elses_optimizer():
    """One line changes: optax.lion is audited, its parameters bit for bit the same."""
    f, x = laws.problem()
    plain = optax.lion(1e-2, weight_decay=0.5)
    claim = dx.LionKappa(weight_decay=0.5)
    read = dx.LionState.from_optax

    def train(tx, extra):
        p, s = x, tx.init(x)
        for _ in range(8):
            delta, s = jax.jit(tx.update)(jax.grad(f)(p), s, p, **extra(p))
            p = optax.apply_updates(p, delta)
        return p, s

    value = lambda p: {"value": f(p), "value_fn": jax.tree_util.Partial(f)}
    coupled = optax.chain(
        optax.add_decayed_weights(0.5), optax.lion(1e-2, weight_decay=0)
    )
    with jax.numpy_dtype_promotion("standard"):
        expected, _ = train(plain, lambda p: {})
        p, s = train(dx.audit(plain, claim, 1e-2, read=read), value)
        _, bad = train(dx.audit(coupled, claim, 1e-2, read=read), value)
    for a, b in zip(*map(jax.tree.leaves, (p, expected)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert dx.verdict(s.tally, "optax.lion").status == "holds"
    assert dx.verdict(bad.tally, "coupled decay").status == "violated"


def test_bad_input():
    f, x = laws.problem()
    g, opt = jax.grad(f)(x), dx.LionKappa(weight_decay=0.5)
    tx = dx.as_optax(opt, 1e-2, every=1)
    s = tx.init(x)
    with pytest.raises(ValueError, match="value: given None; accepted is update"):
        tx.update(g, s, x)
    with pytest.raises(ValueError, match="value_fn: given None"):
        tx.update(g, s, x, value=f(x))
    with pytest.raises(ValueError, match=r"value: given float64\[2\]"):
        tx.update(g, s, x, value=jnp.ones(2), value_fn=f)
    with pytest.raises(ValueError, match="grads: given the tree"):
        tx.update(g["w"], s, x, value=f(x), value_fn=f)
    with pytest.raises(ValueError, match=r"grads\['b'\]: given shape \(2,\)"):
        tx.update({**g, "b": jnp.ones(2)}, s, x, value=f(x), value_fn=f)
    with pytest.raises(ValueError, match="params: given None"):
        tx.update(g, s, value=f(x), value_fn=f)
    with pytest.raises(ValueError, match="every: given -1"):
        dx.as_optax(opt, 1e-2, every=-1)
    with pytest.raises(TypeError, match="opt: given str"):
        dx.as_optax("lion", 1e-2)  # pyright: ignore
    with pytest.raises(TypeError, match="f: given int"):
        dx.as_flow(opt, 3)  # pyright: ignore
    with pytest.raises(ValueError, match="steps, batches: given"):
        dx.iterate(opt, f, x, 1e-2)
    with pytest.raises(
        ValueError, match="every: given 3; accepted is a divisor of the 10"
    ):
        dx.iterate(opt, f, x, 1e-2, steps=10, every=3)
    with pytest.raises(ValueError, match=r"f\(x\): given float64\[7\]"):
        dx.iterate(opt, lambda x: x["b"], x, 1e-2, steps=2)
    with pytest.raises(TypeError, match="optimizer: given str"):
        dx.verify(dx.System("lion", f, x))  # pyright: ignore


# --- sums in one pass ------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 100, 2 * LANES, 3 * LANES + 17])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_one_pass(n, dtype, getkey):
    a, b = (jax.random.normal(getkey(), (n,), dtype) for _ in range(2))
    entries = lambda a, b: ({"ab": a * b, "a": a}, {"b": jnp.abs(b)})
    sums, maxima = jax.jit(lambda a, b: one_pass(entries, a, b))(a, b)
    wide = [np.asarray(v, np.float64) for v in (a, b)]
    tolerance = 8 * float(jnp.finfo(dtype).eps) * n**0.5
    np.testing.assert_allclose(sums["ab"], wide[0] @ wide[1], atol=tolerance)
    np.testing.assert_allclose(sums["a"], wide[0].sum(), atol=tolerance)
    np.testing.assert_array_equal(maxima["b"], jnp.abs(b).max())


def test_ledger_state_is_scalars():
    f, x = laws.problem()
    opt = dx.LionKappa(weight_decay=0.5)
    plain = dx.as_optax(opt, 1e-2).init(x)
    audited = dx.as_optax(opt, 1e-2, every=1).init(x)
    sizes = [a.size for a in jax.tree.leaves(audited.ledger)]
    sizes += [a.size for a in jax.tree.leaves(audited.tally)]
    assert set(sizes) == {1} and len(sizes) < 120
    big = lambda s: sorted(a.size for a in jax.tree.leaves(s) if a.size > 1)
    assert big(plain) == big(audited)
