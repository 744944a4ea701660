"""Draws the gallery: `python scripts/gallery.py [NAME …]`.

Each experiment named runs in its quick form, and one of its own figures becomes a
thumbnail in docs/images/gallery. Then docs/gallery.md is written anew: experiments with
a picture first, those without one last. Without names only the page is written.
"""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import time

import jax
import matplotlib
from matplotlib.animation import Animation, PillowWriter
from PIL import Image, ImageSequence

from dynax.cli._experiments import find, study_at
from dynax.report import STYLE
from dynax.study import Results


ROOT = pathlib.Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "images" / "gallery"
CAPTIONS = PICTURES / "captions.json"
PAGE = ROOT / "docs" / "gallery.md"
WIDTH, LARGEST = 640, 60_000  # pixels, bytes
FAMILIES = {
    "lion": "Lion-κ",
    "optim": "Optimizers",
    "race": "Races",
    "landscape": "Landscapes",
    "dynamics": "Dynamics",
    "material": "Materials",
    "pinn": "Physics-informed networks",
    "certify": "Certificates",
}
OTHER = "Others"
# picture → which figure is shown, the first unless said
SHOWN = {"material-energy": 3, "optim-rates": 1, "lion-digits": 1, "pinn-allen_cahn": 1}
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
    begun = time.process_time()
    style = matplotlib.rc_context(STYLE)
    with study_at(place) as (_, study), jax.enable_x64(True), style:
        figures = study.figures(Results(study, study.sizes["quick"]))
        spent = time.process_time() - begun
        print(f"{place.name} ({spent:.0f} CPU-s) has:", " ".join(figures))
        name = path_of(place).stem
        caption = list(figures)[SHOWN.get(name, 0)]
        thumbnail(picture(figures[caption]), path_of(place))
    captions = json.loads(CAPTIONS.read_text("utf-8")) if CAPTIONS.exists() else {}
    captions[name] = caption
    text = json.dumps(captions, indent=2, ensure_ascii=False, sort_keys=True)
    CAPTIONS.write_text(text + "\n", encoding="utf-8")


def entry(place, title: str) -> str:
    seen = json.loads(CAPTIONS.read_text("utf-8")).get(path_of(place).stem, "")
    return "\n".join(
        [
            f"### {title}\n",
            f"![{title}](images/gallery/{path_of(place).name})\n",
            f"{seen}\n",
            f"{command(place)}\n",
        ]
    )


def command(place) -> str:
    link = f"[{place.relative}](../experiments/{place.relative})"
    return f"`dynax report --only {place.name}` · {link}"


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
            without.append(f"- {title}: {command(place)}")
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
