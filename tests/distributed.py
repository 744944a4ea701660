"""8 virtual devices: Distributed Lion under shard_map is the one under vmap."""

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec as P

import dynax as dx


def steps(opt, x, m, data, n=5):
    """One worker: n steps on its own data."""

    def body(carry, _):
        x, s = carry
        g = {"w": data @ (jnp.tanh(x["w"]) - 1), "b": jnp.sin(x["b"]) + data[0]}
        return opt.step(x, s, g, 0.05), None

    (x, s), _ = jax.lax.scan(body, (x, dx.LionState(m)), length=n)
    return x, s.m


def main():
    assert jax.device_count() == 8, jax.device_count()
    mesh = jax.make_mesh((8,), ("workers",), axis_types=(AxisType.Auto,))
    keys = jax.random.split(jax.random.key(0), 3)
    x = {"w": 5 * jax.random.normal(keys[0], (6, 3)), "b": jnp.ones(6)}
    m = jax.tree.map(lambda a: jnp.zeros((8, *a.shape)), x)
    data = jax.random.normal(keys[1], (8, 6, 6))
    for vote in ("majority", "mean"):
        opt = dx.DistributedLion("workers", vote, weight_decay=0.5)

        def one(x, m, data, opt=opt):
            m = jax.tree.map(lambda a: a[0], m)
            x, m = steps(opt, x, m, data[0])
            return x, jax.tree.map(lambda a: a[None], m)

        spread = P("workers")
        sharded = jax.jit(
            jax.shard_map(
                one,
                mesh=mesh,
                in_specs=(P(), spread, spread),
                out_specs=(P(), spread),
            )
        )
        virtual = jax.vmap(
            lambda x, m, d, opt=opt: steps(opt, x, m, d),
            in_axes=(None, 0, 0),
            axis_name="workers",
        )
        out, same = sharded(x, m, data), jax.jit(virtual)(x, m, data)
        same = jax.tree.map(lambda v: v[0], same[0]), same[1]
        for u, v in zip(jax.tree.leaves(out), jax.tree.leaves(same), strict=True):
            assert jnp.max(jnp.abs(u - v)) <= 1e-6, (vote, jnp.max(jnp.abs(u - v)))
        # what crosses the mesh is bytes
        text = sharded.lower(x, m, data).compile().as_text()
        sent = [line for line in text.splitlines() if " all-reduce(" in line]
        assert sent and all("s8[" in line for line in sent), sent
        # |Δ| ≤ 1: into the box ‖x‖_∞ ≤ 1/λ at the rate 1 − ελ
        far = lambda x: jnp.maximum(0.5 * jnp.max(jnp.abs(x["w"])) - 1, 0)
        assert far(out[0]) <= (1 - 0.05 * 0.5) ** 5 * far(x) + 1e-6
    print("ok")


if __name__ == "__main__":
    main()
