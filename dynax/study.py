"""A study: what to compute, and what is claimed of it.

The runner, the report, `dynax sweep`, the gallery and the tests read it. Its claims can
be listed without running anything; a part runs when something first reads it.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dynax.claim import Claim, Control, Finding


Tell = Callable[[float, str], Any]


class Results(Mapping):
    """The parts of a study at one size, each computed when first read.

    `results["cycle"]` runs the part of that name, once. Parts may read one another.

    Args:
        study: whose parts they are.
        config: one of its sizes.
        tell: called as tell(share of all parts, text).
    """

    def __init__(self, study: "Study", config, tell: Tell = lambda share, text: None):
        self.study, self.config = study, config
        self._tell, self._found, self._share = tell, {}, 0.0

    def tell(self, share: float, text: str) -> None:
        """How much of the part that runs is done, 0 to 1."""
        done = (len(self._found) + share) / max(len(self.study.parts), 1)
        self._share = max(self._share, min(done, 1.0))
        self._tell(self._share, text)

    def __getitem__(self, name: str):
        if name not in self._found:
            self.tell(0.0, name)
            self._found[name] = self.study.parts[name](self)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.study.parts)

    def __len__(self) -> int:
        return len(self.study.parts)

    @property
    def found(self) -> dict[str, Any]:
        """The parts that have run."""
        return dict(self._found)


@dataclasses.dataclass(frozen=True)
class Study:
    """One claim of one paper put to the test, with its controls and figures.

    Args:
        title, source: in words; paper and equation.
        sizes: "quick", "long" and "full" → a configuration (a frozen dataclass).
        parts: name → function of `Results` (its `config`, `tell` and other parts).
        claims: claims and controls, or a function of the configuration that lists them.
        figures: `Results` → {caption: matplotlib figure or animation}.
        run: one point of a sweep, run(**point) → dict of arrays.
        space: parameter of `run` → values along its axis.
        dims: output of `run` → names of its axes.
        name: of the study; that of its file unless the file has several.
    """

    title: str
    source: str
    sizes: Mapping[str, Any]
    parts: Mapping[str, Callable[[Results], Any]]
    claims: Sequence[Claim | Control] | Callable[[Any], Sequence[Claim | Control]]
    figures: Callable[[Results], Mapping[str, Any]] = lambda results: {}
    run: Callable[..., dict] | None = None
    space: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    dims: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    name: str = ""

    def listed(self, config) -> list[Claim | Control]:
        """The claims and controls at one size, unrun."""
        return list(self.claims(config) if callable(self.claims) else self.claims)

    def judge(
        self, results: Results, wanted: Callable[[str], bool] = lambda id: True
    ) -> list[Finding]:
        """Measure the claims wanted; only the parts that these read are run."""
        claims = [c for c in self.listed(results.config) if wanted(c.id)]
        return [c.judge(results, self.source) for c in claims]


def studies(module) -> list[Study]:
    """The studies of a module: its `STUDY`, one or a list, each with a name.

    Raises:
        TypeError: the module has none.
    """
    given = getattr(module, "STUDY", None)
    listed = list(given) if isinstance(given, list | tuple) else [given]
    found = [s for s in listed if isinstance(s, Study)]
    if not found or len(found) < len(listed):
        what = "none" if given is None else type(given).__name__
        raise TypeError(
            f"STUDY: given {what}; accepted is a dynax.Study, or a list of some."
        )
    stem = pathlib.Path(module.__file__).stem
    return [s if s.name else dataclasses.replace(s, name=stem) for s in found]
