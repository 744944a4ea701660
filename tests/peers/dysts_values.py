"""What dysts 0.96 says of the zoo; `dysts.json` beside this file is its output.

pip install dysts==0.96 && python tests/peers/dysts_values.py > tests/peers/dysts.json
"""

import importlib
import json
import sys

import numpy as np


TIME = 0.3


def points(start, count, seed):
    """States around a start, all of its signs."""
    around = np.random.default_rng(seed).standard_normal((count, len(start)))
    return np.asarray(start) * (1 + 0.1 * around)


def oracle(name, is_flow):
    """A system of dysts by the name it has in the zoo, and what its field is."""
    module = importlib.import_module("dysts.flows" if is_flow else "dysts.maps")
    system = getattr(module, name.removesuffix("Map"))()
    if is_flow:
        return system, lambda xs: np.array([np.ravel(system.rhs(x, TIME)) for x in xs])
    return system, lambda xs: np.reshape(system.rhs(xs), xs.shape)


def table(flows, maps):
    found = {}
    for names, is_flow in ((flows, True), (maps, False)):
        for name in names:
            system, field = oracle(name, is_flow)
            at = points(np.ravel(system.ic), 3, seed=len(found))
            found[name] = {
                "start": np.ravel(system.ic).tolist(),
                "points": at.tolist(),
                "values": field(at).tolist(),
            }
            if is_flow:
                found[name]["period"] = system.period
                found[name]["exponents"] = system.lyapunov_spectrum_estimated
                found[name]["largest"] = system.maximum_lyapunov_estimated
    return found


if __name__ == "__main__":
    from dynax import zoo

    names = lambda kind: [c.__name__ for c in kind]
    found = table(names(zoo.FLOWS), names(zoo.MAPS))
    lines = (f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found.items())
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
