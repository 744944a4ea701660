#!/usr/bin/env python3
"""Speed against a named peer, in one run, compile time apart.

    python scripts/bench.py certify     certificates, mpmath, immrax and AutoLyap
    python scripts/bench.py dynamics    Lyapunov spectra, a loop by hand, lyapax
    python scripts/bench.py kinematics  polar and singular values, against LAPACK's SVD
    python scripts/bench.py ledger      what the ledger costs a training step
    python scripts/bench.py mpm         material points, against a hand-written scan
    python scripts/bench.py optimizers  a training step, against optax's twins
    python scripts/bench.py pinn        physics-informed networks, jinns and DeepXDE
    python scripts/bench.py statics     equilibria, against scikit-fem
    python scripts/bench.py sweep       sweeps against loops, Ray Tune; scaling; store
    python scripts/bench.py warp        material points, against NVIDIA Warp

`python scripts/bench.py NAME --help` tells more. A benchmark is not a test.
"""

import importlib
import sys


NAMES = (
    "certify",
    "dynamics",
    "kinematics",
    "ledger",
    "mpm",
    "optimizers",
    "pinn",
    "statics",
    "sweep",
    "warp",
)


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        print(__doc__)
        asked = sys.argv[1:2] in ([], ["--help"], ["-h"])
        return 0 if asked else 2
    importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
