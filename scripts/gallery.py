"""Draws the gallery: `python scripts/gallery.py [NAME …]`.

Each experiment named runs in its quick form, and one of its own figures becomes a
thumbnail in docs/images/gallery. Then docs/gallery.md is written anew: experiments with
a picture first, those without one last. Without names only the page is written.
"""

import contextlib
import io
import pathlib
import sys
import tempfile

import jax
import matplotlib
from matplotlib.animation import Animation, PillowWriter
from PIL import Image, ImageSequence

from dynax.cli._experiments import find, study_at
from dynax.report import STYLE
from dynax.study import Results


ROOT = pathlib.Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "images" / "gallery"
PAGE = ROOT / "docs" / "gallery.md"
WIDTH, LARGEST = 640, 60_000  # pixels, bytes
FAMILIES = {
    "lion": "Lion-κ",
    "optim": "Optimizers",
    "landscape": "Landscapes",
    "material": "Materials",
    "pinn": "Physics-informed networks",
}
OTHER = "Others"
# picture → the figure shown (its caption begins so), and what is seen in it
SEEN = {
    "lion-balance": (
        "For every κ",
        "The balance of a step holds to the round-off of float64 (blue) and float32 "
        "(squares) for every κ; with a residual 5 % too small it does not (crosses).",
    ),
    "lion-constrained": (
        "From outside",
        "Eight choices of κ lead from one start into eight sets, and to the "
        "optimum (×) of each.",
    ),
    "lion-cycle": (
        "Lion at a constant",
        "At a constant learning rate Lion ends in cycles of two points, for a start "
        "between two proved edges; the mean loss never falls below a floor.",
    ),
    "lion-muon": (
        "Five Newton–Schulz",
        "Five Newton–Schulz steps leave singular values away from 1 (left), and "
        "training then stops short of the optimum (right).",
    ),
    "optim-heavy_ball_cycle": (
        "The heavy ball",
        "Starts in the orange regions end in a cycle of three points and never "
        "reach the minimum (×), though the loss is convex.",
    ),
    "optim-immersion": (
        "The distance to the manifold",
        "With the proved term all paths contract to the manifold at one rate (blue); "
        "without it they do not (orange).",
    ),
    "landscape-deep_linear": (
        "Deep linear networks",
        "Each mode of a deep linear network is learned in a step of its own, where the "
        "theory says, and the sharper the more layers there are.",
    ),
    "landscape-river_valley": (
        "A large rate",
        "A constant learning rate stays on a noise floor (left); decaying it reveals "
        "the progress made along the river (right).",
    ),
}
HEAD = """# Gallery

After this page you know what each experiment shows, and the command that runs it.
Every picture is a figure that the experiment itself draws.
`python scripts/gallery.py NAME` renews one.
"""


def picture(figure) -> Image.Image:
    """A figure as an image; of an animation the last frame."""
    if not isinstance(figure, Animation):
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=160)
        return Image.open(data).convert("RGB")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "movie.gif")
        figure.save(path, PillowWriter(10), dpi=110)
        *_, last = ImageSequence.Iterator(Image.open(path))
        return last.convert("RGB")


def path_of(place) -> pathlib.Path:
    return PICTURES / f"{family_of(place)}-{place.name}.webp"


def family_of(place) -> str:
    """Its folder, or what stands before the first _ of its name."""
    folder, _, file = place.relative.rpartition("/")
    return folder or file.partition("_")[0].removesuffix(".py")


def thumbnail(image: Image.Image, path: pathlib.Path) -> None:
    """Save it as WebP of at most 60 kB."""
    height = round(image.height * WIDTH / image.width)
    small = image.resize((WIDTH, height), Image.Resampling.LANCZOS)
    for quality in range(90, 20, -10):
        small.save(path, quality=quality, method=6)
        if path.stat().st_size <= LARGEST:
            return
    raise ValueError(f"{path.name}: larger than {LARGEST} bytes at any quality")


def draw(place) -> None:
    style = matplotlib.rc_context(STYLE)
    with study_at(place) as (_, study), jax.enable_x64(True), style:
        figures = study.figures(Results(study, study.sizes["quick"]))
        print(place.name, "has the figures:", ", ".join(figures))
        wanted = SEEN.get(path_of(place).stem, ("", ""))[0]
        chosen = next(k for k in figures if k.startswith(wanted))
        thumbnail(picture(figures[chosen]), path_of(place))


def entry(place, title: str) -> str:
    command = f"dynax report --only {place.name}"
    link = f"[{place.relative}](../experiments/{place.relative})"
    lines = [f"### {title}", ""]
    if path_of(place).exists():
        seen = SEEN.get(path_of(place).stem, ("", ""))[1]
        lines += [f"![{title}](images/gallery/{path_of(place).name})", "", seen, ""]
    return "\n".join([*lines, f"`{command}` · {link}", ""])


def page() -> str:
    with_picture: dict[str, list[str]] = {}
    without = []
    for place in find(ROOT / "experiments"):
        title = place.name  # of a file that cannot be imported
        with contextlib.suppress(Exception), study_at(place) as (_, study):
            title = study.title
        if path_of(place).exists():
            text = entry(place, title)
            with_picture.setdefault(FAMILIES.get(family_of(place), OTHER), []).append(
                text
            )
        else:
            link = f"[{place.relative}](../experiments/{place.relative})"
            without.append(f"- {title}: `dynax report --only {place.name}` · {link}")
    parts = [HEAD]
    for family in [*FAMILIES.values(), OTHER]:
        if family in with_picture:
            parts += [f"## {family}\n", *with_picture[family]]
    if without:
        parts += ["## Without a picture yet\n", "\n".join(without) + "\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:]:
        draw(*[p for p in find(ROOT / "experiments", [name]) if p.name == name])
    PAGE.write_text(page(), encoding="utf-8")
