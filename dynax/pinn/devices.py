"""Share the points of a window out over devices."""

from collections.abc import Callable

import equinox as eqx
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from dynax import _tree as tree
from dynax.pinn.objective import Batch


def everywhere(mesh: Mesh, values: PyTree) -> PyTree:
    """Put a copy of all arrays on each device of a mesh."""
    put = lambda a: jax.device_put(a, NamedSharding(mesh, PartitionSpec()))
    return jax.tree.map(lambda a: put(a) if eqx.is_array(a) else a, values)


def spread(mesh: Mesh | None, blocks: Callable, given: PyTree, batch: Batch):
    """Evaluate blocks(given, batch) → {name: arrays, (n, …)}, each device at its times.

    The rows of "equation" lie where their times do. All other blocks, which have few
    points, are evaluated on every device.

    Raises:
        ValueError: the devices do not divide the times.
    """
    if mesh is None:
        return blocks(given, batch)
    times = len(batch.points.t)
    if times % mesh.size:
        raise ValueError(
            f"mesh: given {mesh.size} devices for {times} times; accepted is a number "
            "of devices that divides the times."
        )
    here, all_of_it = PartitionSpec(mesh.axis_names), PartitionSpec()
    arrays, rest = eqx.partition(given, eqx.is_array)
    each = lambda arrays, batch: blocks(eqx.combine(arrays, rest), batch)
    names = jax.eval_shape(each, arrays, batch)
    points = tree.map(lambda _: here, batch.points)
    batch_specs = tree.map(lambda _: all_of_it, batch)._replace(points=points)
    out = {name: here if name == "equation" else all_of_it for name in names}
    # a gradient taken within is of this device's points: no sum over devices
    specs = {"in_specs": (all_of_it, batch_specs), "out_specs": out, "check_vma": False}
    return jax.shard_map(each, mesh=mesh, **specs)(arrays, batch)
