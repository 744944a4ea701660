"""Where the arrays of a run on a mesh lie: as declared or not, their bytes, drawn."""

import re
from typing import Any

import jax
import numpy as np

from dynax.report import COLORS, new_figure


def astray(tree, where) -> int:
    """How many arrays do not lie as declared, by name or by the shards there are."""

    def wrong(a, declared):
        shapes = {shard.data.shape for shard in a.addressable_shards}
        right = shapes == {declared.shard_shape(a.shape)}
        return not (right and a.sharding.is_equivalent_to(declared, a.ndim))

    return sum(jax.tree.leaves(jax.tree.map(wrong, tree, where)))


def declared(tree) -> int:
    """Bytes on one device."""

    def of(a):
        return int(np.prod(a.sharding.shard_shape(a.shape))) * a.dtype.itemsize

    return sum(of(a) for a in jax.tree.leaves(tree))


def fullest(tree) -> int:
    """Bytes on the device that holds most."""
    held = dict.fromkeys(jax.devices(), 0)
    for a in jax.tree.leaves(tree):
        for shard in a.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return max(held.values())


def memory(compiled) -> dict[str, int]:
    """Bytes a device, as the compiler planned them."""
    plan = compiled.memory_analysis()
    given, made = plan.argument_size_in_bytes, plan.output_size_in_bytes
    temporary, shared = plan.temp_size_in_bytes, plan.alias_size_in_bytes
    return {"arguments": given, "all": given + made - shared + temporary}


def places(tree, mesh) -> dict[str, Any]:
    """By array: shape, mesh axis it lies along, and the part that each device holds."""

    def of(a):
        axis = next((k for k, name in enumerate(a.sharding.spec) if name), None)
        if axis is None:
            return a.shape, None, [(0.0, 1.0)] * mesh.size
        index, n = a.sharding.devices_indices_map(a.shape), a.shape[axis]
        ends = (index[d][axis].indices(n) for d in mesh.devices.ravel())
        return a.shape, a.sharding.spec[axis], [(b / n, e / n) for b, e, _ in ends]

    flat = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(k, simple=True, separator="/"): of(a) for k, a in flat}


def places_figure(results):
    """A column a device, a row an array: the part of it that the device holds."""
    data, tensor = results["data"], results["tensor"]
    found = results["float64"]["places"].items()
    rows = [(name, *it) for name, it in found if not re.match("Block_[1-9]", name)]
    rows.sort(key=lambda row: ("tensor", None, "data").index(row[2]))
    figure, axes = new_figure(1, 1, size=(7.6, 1.1 + 0.19 * len(rows)))
    ax = axes[0, 0]
    looks = {
        None: ("grey", "replicated"),
        "tensor": ("blue", "its share along tensor"),
        "data": ("orange", "its share along data"),
    }
    for y, (_, shape, axis, spans) in enumerate(rows):
        cells = [(device + 0.06, 0.88) for device in range(len(spans))]
        ax.broken_barh(cells, (y - 0.3, 0.6), fc="#F0F0F0", ec="#BBBBBB", lw=0.4)
        color, label = looks[axis]
        held = [
            (x + w * low, w * (high - low))
            for (x, w), (low, high) in zip(cells, spans, strict=True)
        ]
        ax.broken_barh(held, (y - 0.3, 0.6), fc=COLORS[color], label=label)
        size = " × ".join(map(str, shape)) or "1"
        ax.text(data * tensor + 0.1, y, size, va="center", fontsize=7.5)
    names = [f"{d}, {t}" for d in range(data) for t in range(tensor)]
    ax.set_xticks(np.arange(len(names)) + 0.5, names)
    ax.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=7.5)
    ax.set(xlim=(0, len(names) + 1.2), ylim=(len(rows) - 0.4, -0.6))
    ax.set(xlabel="device: its place along data, tensor")
    ax.set_title("What each device holds; the momentum lies as the parameters do")
    ax.grid(False)
    handles, labels = ax.get_legend_handles_labels()
    one = dict(zip(labels, handles, strict=True))
    figure.legend(one.values(), one.keys(), loc="outside lower center", ncols=3)
    return figure
