"""Data of a hidden term as a file, and the script that gives them to PySR."""

import pathlib
from collections.abc import Sequence

import numpy as np


PYSR = '''"""Symbolic regression of a hidden term. First: pip install pysr."""

import numpy as np
from pysr import PySRRegressor

data = np.load("hidden.npz")
model = PySRRegressor(binary_operators=["+", "-", "*"], niterations=40, maxsize=20)
model.fit(data["z"], data["h"], variable_names=[str(n) for n in data["names"]])
print(model)
'''


def to_pysr(folder, z, h, names: Sequence[str]) -> pathlib.Path:
    """Write z, h and their names to folder/hidden.npz, and beside it the script that
    gives them to PySR, which is not imported here. Returns the script's path.

    Source: Cranmer, arXiv:2305.01582.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    z, h = np.asarray(z), np.asarray(h)
    np.savez(folder / "hidden.npz", z=z, h=h, names=np.asarray(names))
    script = folder / "run_pysr.py"
    script.write_text(PYSR, encoding="utf-8")
    return script
