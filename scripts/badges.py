"""Draws the badges of the README from `pyproject.toml`: `python scripts/badges.py`.

They are pictures in the repository, so no other host has to answer for them.
"""

import pathlib
import re
import tomllib


ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "images" / "badges"
BLUE, GREEN = "#0072B2", "#00805D"
SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" \
role="img" aria-label="{label}: {value}">
<rect width="{width}" height="20" rx="3" fill="{color}"/>
<path d="M3 0h{left0}v20h-{left0}a3 3 0 0 1-3-3v-14a3 3 0 0 1 3-3z" fill="#555555"/>
<g fill="#ffffff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="6" y="14" textLength="{label_length}">{label}</text>
<text x="{middle}" y="14" textLength="{value_length}">{value}</text>
</g></svg>
"""


def svg(label: str, value: str, color: str) -> str:
    """A badge of two halves, of the same width in any font."""
    width = lambda text: round(sum(4 if c in "ijlft,. " else 6.8 for c in text))
    a, b = width(label), width(value)
    return SVG.format(
        label=label,
        value=value,
        color=color,
        width=a + b + 24,
        left0=a + 9,
        label_length=a,
        value_length=b,
        middle=a + 18,
    )


def badges() -> dict[str, str]:
    """File name → picture, for what the package says of itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    kinds = project["classifiers"]
    pythons = re.findall(r":: Python :: (3\.\d+)\n", "\n".join([*kinds, ""]))
    (jax,) = (d for d in project["dependencies"] if re.match(r"jax\W", d))
    oldest, refused = re.findall(r"[\d.]+", jax)
    said = {
        "python": (", ".join(pythons), BLUE),
        "jax": (f"≥ {oldest}, not {refused}", BLUE),
        "licence": (project["license"], GREEN),
    }
    if "Typing :: Typed" in kinds:
        said["types"] = "pyright, jaxtyping", GREEN
    return {f"{k}.svg": svg(k, *v) for k, v in said.items()}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, picture in badges().items():
        (FOLDER / name).write_text(picture, encoding="utf-8")
