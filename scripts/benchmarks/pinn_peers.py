"""The same physics-informed networks in jinns and in DeepXDE, on JAX.

Layers, inputs, initial weights and, where it is asked for, the hard initial condition
are those of a network of ours; derivatives, losses and training are the peer's own.
Ours is `Problem.u`; `jinns(…)` and `deepxde(…)` build a `Peer` of it.
"""

import contextlib
import importlib.metadata
import importlib.util
import io
import os
import re
import sys
import time
import types
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynax import pde as equations, pinn


class Problem(NamedTuple):
    """An equation, a network for it, and points (times points, 1 + d), t first."""

    pde: Any
    network: Any
    hard: bool
    tx: Any

    def u(self, network):
        zero, one = jnp.zeros((), self.tx.dtype), jnp.ones((), self.tx.dtype)
        window = pinn.Window(zero, one, self.pde.initial)
        make = pinn.exact_initial if self.hard else pinn.penalised_initial
        return make(self.pde, network, window)

    def out(self, t, x, raw):
        """What the network's output `raw`, (1,), becomes at a point."""
        return self.u(lambda t, x: raw)(t, x) if self.hard else raw

    @property
    def layers(self):
        body = self.network.body
        return [(layer.weight, layer.bias) for layer in (*body.layers, body.last)]

    @property
    def sizes(self):
        return [self.network.features.size, *(len(b) for _, b in self.layers)]


class Peer(NamedTuple):
    """loss(params) is the mean square of the residual at the points; train(steps) goes
    on and returns CPU seconds, compile time apart; u(params) is the solution."""

    params: Callable[[], Any]
    loss: Callable[[Any], Any]
    train: Callable[[int], float]
    u: Callable[[Any], Callable]


def absent() -> dict[str, str]:
    """Peers that are not installed, and what to do; DeepXDE's JAX backend is flax."""
    command = 'pip install "dynax-lab[experiments,bench]"'
    return {
        name: f"{name} is not installed; skipped ({command})."
        for name, needs in (("jinns", ["jinns"]), ("deepxde", ["deepxde", "flax"]))
        if not all(importlib.util.find_spec(need) for need in needs)
    }


def versions() -> dict[str, str]:
    found = {"jinns", "deepxde"} - {*absent()}
    return {name: importlib.metadata.version(name) for name in sorted(found)}


def jinns(problem: Problem, optimizer=None, extra=None, weight=None) -> Peer:
    """jinns: reverse mode nested, as its `BurgersEquation` does it.

    Args:
        optimizer: optax's or jinns'; Adam, 1e-3, unless given.
        extra: what `jinns.solve` shall hand to it.
        weight: of the initial condition where it is soft; then 256 points of it.
    """
    import jinns as library  # pyright: ignore
    from jinns.loss import BurgersEquation, PDENonStatio  # pyright: ignore

    pde, features = problem.pde, problem.network.features

    def slope(f):
        return lambda t_x: jax.grad(f)(t_x)[1]

    class Semilinear(PDENonStatio):
        """Allen–Cahn and Kuramoto–Sivashinsky, as `BurgersEquation` is written."""

        def equation(self, t_x, u, params):
            value = lambda t_x: jnp.squeeze(u(t_x, params)[u.slice_solution])
            d = jax.grad(value)
            first = d(t_x)
            second = slope(slope(value))
            found = {"u": value(t_x), "t": first[0], "x": first[1], "xx": second(t_x)}
            if "xxxx" in pde.needs:
                found["xxxx"] = slope(slope(second))(t_x)
            found = {k: a[None] for k, a in found.items()}
            return pde.equation(t_x[0], t_x[1:], equations.Derivatives(found))

    sizes = problem.sizes
    spec: list = [(eqx.nn.Linear, sizes[0], sizes[1])]
    for a, b in zip(sizes[1:-1], sizes[2:], strict=True):
        spec += [(jax.nn.tanh,), (eqx.nn.Linear, a, b)]
    u, start = library.nn.PINN_MLP.create(
        eq_type="PDENonStatio",
        key=jax.random.key(0),
        eqx_list=tuple(spec),
        input_transform=lambda t_x, _: features(t_x[0], t_x[1:]),
        output_transform=lambda t_x, out, _: problem.out(t_x[0], t_x[1:], out[None])[0],
    )
    linear = lambda net: [l for l in net.layers if isinstance(l, eqx.nn.Linear)]
    flat = lambda net: [a for l in linear(net) for a in (l.weight, l.bias)]
    start = eqx.tree_at(flat, start, [a for layer in problem.layers for a in layer])
    is_burgers = isinstance(pde, equations.Burgers)
    # one number in all cases: jinns keeps the names of the first eq_params it sees
    nu = jnp.asarray(pde.viscosity if is_burgers else 0.0, problem.tx.dtype)
    params = library.parameters.Params(nn_params=start, eq_params={"nu": nu})
    soft = {} if weight is None else {"initial_condition_fun": pde.initial}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no boundary condition is what we mean
        loss = library.loss.LossPDENonStatio(
            u=u,
            dynamic_loss=BurgersEquation() if is_burgers else Semilinear(),
            loss_weights=library.loss.LossWeightsPDENonStatio(
                dyn_loss=1.0, initial_condition=weight
            ),
            params=params,
            **soft,
        )
        data = library.data.CubicMeshPDENonStatio(
            key=jax.random.key(1),
            n=len(problem.tx),
            nb=None,
            ni=256,
            dim=1,
            min_pts=pde.lower,
            max_pts=pde.upper,
            tmin=0.0,
            tmax=1.0,
        )
    data = eqx.tree_at(lambda d: d.domain, data, problem.tx)
    _, batch = data.get_batch()
    tx = optax.adam(1e-3) if optimizer is None else optimizer
    now = [params, None]

    def train(steps):
        said = io.StringIO()  # jinns compiles anew each time, and prints both times
        cpu = types.SimpleNamespace(time=time.process_time)
        clocked = mock.patch.object(sys.modules["jinns.solver._solve"], "time", cpu)
        with contextlib.redirect_stdout(said), clocked:
            found = library.solve(
                n_iter=steps,
                init_params=now[0],
                opt_state=now[1],
                data=data,
                loss=loss,
                optimizer=tx,
                print_loss_every=steps + 1,
                extra_optax_args_and_kwargs=extra,
            )
        now[0], now[1] = found[0], found[5]
        took = re.search(r"Training took\s+([\d.e+-]+)", said.getvalue())
        assert took, said.getvalue()
        return float(took[1])

    value = lambda params: loss(params, batch)[0]
    at = lambda params, t, x: u(jnp.concatenate([t[None], x]), params)
    return Peer(lambda: now[0], value, train, lambda params: eqx.Partial(at, params))


def deepxde(problem: Problem) -> Peer:
    """DeepXDE: its `jacobian` and `hessian`, Adam 1e-3; its JAX backend has optax's
    first-order methods only: no L-BFGS."""
    os.environ["DDE_BACKEND"] = "jax"
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        import deepxde as library  # pyright: ignore

    pde, features = problem.pde, problem.network.features

    def residual(x, y):
        """x is (x, t); y and all derivatives are (values, function)."""
        first = library.grad.jacobian
        d = {"u": y, "t": first(y, x, i=0, j=1), "x": first(y, x, i=0, j=0)}
        d["xx"] = library.grad.hessian(y, x, i=0, j=0)
        if "xxxx" in pde.needs:
            d["xxxx"] = library.grad.hessian(d["xx"], x, i=0, j=0)
        found = equations.Derivatives({k: value for k, (value, _) in d.items()})
        return pde.equation(x[:, 1:], x[:, :1], found)

    space = library.geometry.Interval(pde.lower[0], pde.upper[0])
    domain = library.geometry.GeometryXTime(space, library.geometry.TimeDomain(0, 1))
    xt = np.asarray(problem.tx, np.float32)[:, ::-1]
    data = library.data.TimePDE(domain, residual, [], num_domain=0, anchors=xt)
    net = library.nn.FNN(problem.sizes, "tanh", "Glorot normal")
    net.apply_feature_transform(jax.vmap(lambda p: features(p[1], p[:1])))
    if problem.hard:
        out = lambda p, raw: problem.out(p[1], p[:1], raw)
        net.apply_output_transform(jax.vmap(out))
    model = library.Model(data, net)
    with contextlib.redirect_stdout(io.StringIO()):
        model.compile("adam", lr=1e-3, verbose=0)
    dense = {
        f"denses_{i}": {"kernel": w.T, "bias": b}
        for i, (w, b) in enumerate(problem.layers)
    }
    net.params = {"params": dense}
    model.params = [net.params, []]
    model.opt_state = model.opt.init(model.params)
    points = data.train_x_all

    def train(steps):
        begun = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            model.train(iterations=steps, display_every=10**9, verbose=0)
        jax.block_until_ready(model.params)
        return time.process_time() - begun

    def loss(params):
        library.grad.clear()  # its cache goes by id(), which traced arrays share
        return jnp.sum(model.outputs_losses_train(params, points, None)[1])

    def at(params, t, x):
        return net.apply(params[0], jnp.concatenate([x, t[None]]).astype(jnp.float32))

    return Peer(lambda: model.params, loss, train, lambda p: eqx.Partial(at, p))
