"""The one rule of every primitive that only moves entries: reshape, slice, gather …

The primitive itself is run, once for each shape, on the numbers of the entries; what
comes out says where each entry of the result is found.
"""

import jax.numpy as jnp
import numpy as np

from dynax.certify.interval._interval import Interval


MOVES = frozenset(
    [
        "reshape",
        "transpose",
        "broadcast_in_dim",
        "squeeze",
        "expand_dims",
        "slice",
        "rev",
        "concatenate",
        "pad",
        "stack",
        "unstack",
        "split",
        "gather",
        "dynamic_slice",
        "dynamic_update_slice",
        "scatter",
    ]
)
INDEXED = {  # the first operand that is an index
    "gather": (1, 2),
    "scatter": (1, 2),
    "dynamic_slice": (1, None),
    "dynamic_update_slice": (2, None),
}


def move(mark, primitive, params, known, operands: list[Interval]) -> list[Interval]:
    """The entries of `operands` as the primitive lays them out.

    Boxes on which an index is undecided get the hull of all entries, and are marked.
    `known` keeps the positions that were found, by shapes and indices.
    """
    first, last = INDEXED.get(primitive.name, (len(operands), len(operands)))
    index = operands[first:last]
    data = [*operands[:first], *([] if last is None else operands[last:])]
    batch = max(x.lo.shape[-1] for x in operands)
    lo = np.concatenate([_rows(x.lo, batch) for x in data])
    hi = np.concatenate([_rows(x.hi, batch) for x in data])
    shapes = tuple(x.lo.shape[:-1] for x in data)

    def run(*index):
        key = shapes, *(i.tobytes() for i in index)
        if key not in known:
            known[key] = _positions(primitive, params, shapes, first, *index)
        return known[key]

    if all(x.constant for x in index):
        return [Interval(lo[p], hi[p]) for p in run(*(x.lo[..., 0] for x in index))]
    # group the boxes by the values of their indices
    undecided = np.any([x.undecided | np.zeros(batch, bool) for x in index], axis=0)
    mark(undecided)
    keys = np.concatenate([_rows(x.lo, batch) for x in index])
    kinds, member = np.unique(keys, axis=1, return_inverse=True)
    member, found = member.reshape(-1), None
    for k in range(kinds.shape[1]):
        here = np.flatnonzero(member == k)
        moved = run(*(x.lo[..., min(here[0], x.lo.shape[-1] - 1)] for x in index))
        if found is None:
            found = [
                Interval(
                    np.empty((*p.shape, batch), lo.dtype),
                    np.empty((*p.shape, batch), lo.dtype),
                )
                for p in moved
            ]
        for out, p in zip(found, moved, strict=True):
            out.lo[..., here], out.hi[..., here] = lo[p][..., here], hi[p][..., here]
    assert found is not None
    for out in found:
        out.lo[..., undecided] = np.min(lo[:, undecided], axis=0)
        out.hi[..., undecided] = np.max(hi[:, undecided], axis=0)
    return found


def _rows(entries: np.ndarray, batch: int) -> np.ndarray:
    """The entries one below the other, in every box."""
    return np.broadcast_to(entries, (*entries.shape[:-1], batch)).reshape(-1, batch)


def _positions(primitive, params, shapes, first, *index) -> list[np.ndarray]:
    """For every entry of the result, its place among the entries of the operands."""
    start, numbered = 0, []
    for shape in shapes:
        size = int(np.prod(shape, dtype=int))
        numbered.append(jnp.arange(start, start + size).reshape(shape))
        start += size
    args = [*numbered[:first], *(jnp.asarray(i) for i in index), *numbered[first:]]
    params = dict(params)
    if "mode" in params and "fill_value" in params:
        params["fill_value"] = -1
    found = primitive.bind(*args, **params)
    found = found if primitive.multiple_results else [found]
    places = [np.asarray(p) for p in found]
    if any(np.any((p < 0) | (p >= start)) for p in places):
        raise NotImplementedError(f"{primitive.name} reaches beyond an array's ends")
    return places
