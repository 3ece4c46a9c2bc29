"""Lines, boxes and words, on an SVG or a PNG."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Literal, TypeAlias

from ...errors import ConfigError

__all__ = ["Canvas", "Colour", "PngCanvas", "Point", "SvgCanvas", "canvas_for"]

Point: TypeAlias = tuple[float, float]
Colour: TypeAlias = Literal["paper", "ink", "dim", "grid", "first", "second"]
Anchor: TypeAlias = Literal["start", "middle", "end"]

LIGHT: dict[Colour, str] = {
    "paper": "#fcfcfb",
    "ink": "#1c1c1a",
    "dim": "#6b6a65",
    "grid": "#e4e3de",
    "first": "#2a78d6",
    "second": "#d1521f",
}
DARK: dict[Colour, str] = {
    "paper": "#1a1a19",
    "ink": "#f4f3ee",
    "dim": "#a3a29b",
    "grid": "#363633",
    "first": "#5598e7",
    "second": "#f08a5d",
}


class Canvas(ABC):
    """A picture in the making; the origin is at the top left."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height

    @abstractmethod
    def box(self, corner: Point, size: Point, colour: Colour) -> None:
        """A filled rectangle."""

    @abstractmethod
    def line(self, points: Sequence[Point], colour: Colour, width: float = 1) -> None:
        """A line through these points."""

    @abstractmethod
    def area(self, points: Sequence[Point], colour: Colour) -> None:
        """A polygon, filled so that what is below it shines through."""

    @abstractmethod
    def text(
        self,
        at: Point,
        text: str,
        colour: Colour = "ink",
        *,
        size: int = 12,
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> None:
        """One line; `at` is on its base line."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the file.

        :raises OSError: it cannot be written
        """


class SvgCanvas(Canvas):
    """Follows the reader's choice of light or dark."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self._parts: list[str] = []

    def box(self, corner: Point, size: Point, colour: Colour) -> None:
        (x, y), (width, height) = corner, size
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="var(--{colour})"/>'
        )

    def line(self, points: Sequence[Point], colour: Colour, width: float = 1) -> None:
        self._parts.append(
            f'<polyline points="{_path(points)}" fill="none" stroke="var(--{colour})" '
            f'stroke-width="{width}" stroke-linejoin="round"/>'
        )

    def area(self, points: Sequence[Point], colour: Colour) -> None:
        self._parts.append(
            f'<polygon points="{_path(points)}" fill="var(--{colour})" fill-opacity="0.16"/>'
        )

    def text(
        self,
        at: Point,
        text: str,
        colour: Colour = "ink",
        *,
        size: int = 12,
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="var(--{colour})"{weight}>{escape(text)}</text>'
        )

    def save(self, path: Path) -> None:
        light, dark = (";".join(f"--{k}:{v}" for k, v in c.items()) for c in (LIGHT, DARK))
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" '
            "font-family=\"system-ui, -apple-system, 'Segoe UI', sans-serif\">\n"
            f"<style>:root{{{light}}}\n"
            f"@media (prefers-color-scheme: dark){{:root{{{dark}}}}}</style>\n"
            + "\n".join(self._parts)
            + "\n</svg>\n",
            encoding="utf-8",
        )


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


class PngCanvas(Canvas):
    """Drawn by Pillow, at twice the size for screens of today.

    :raises ConfigError: Pillow is not installed
    """

    SCALE = 2
    FINE = 2
    """Drawn larger by this factor once more, and then reduced: Pillow's lines have hard edges."""

    def __init__(self, width: int, height: int) -> None:
        try:
            from PIL import Image, ImageDraw, ImageFont
        except ImportError as error:
            raise ConfigError(
                'a PNG needs Pillow; type: pip install "unisock[plot]", or let --plot name an .svg',
                key="plot",
            ) from error
        super().__init__(width, height)
        self._zoom = zoom = self.SCALE * self.FINE
        self._font = ImageFont.load_default
        self._image = Image.new("RGB", (width * zoom, height * zoom), LIGHT["paper"])
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def box(self, corner: Point, size: Point, colour: Colour) -> None:
        (x, y), (width, height) = corner, size
        if width > 0 and height > 0:
            self._draw.rectangle(self._at([(x, y), (x + width, y + height)]), LIGHT[colour])

    def line(self, points: Sequence[Point], colour: Colour, width: float = 1) -> None:
        wide = max(1, round(width * self._zoom))
        self._draw.line(self._at(points), LIGHT[colour], wide, joint="curve")

    def area(self, points: Sequence[Point], colour: Colour) -> None:
        self._draw.polygon(self._at(points), f"{LIGHT[colour]}29")

    def text(
        self,
        at: Point,
        text: str,
        colour: Colour = "ink",
        *,
        size: int = 12,
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> None:
        place: dict[str, str] = {"start": "ls", "middle": "ms", "end": "rs"}
        self._draw.text(
            self._at([at])[0],
            text.replace("µ", "u"),  # Pillow's own font has none
            LIGHT[colour],
            self._font(size * self._zoom),
            place[anchor],
            stroke_width=self._zoom // 4 if bold else 0,
        )

    def save(self, path: Path) -> None:
        self._image.reduce(self.FINE).save(path, "PNG", optimize=True)

    def _at(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self._zoom, y * self._zoom) for x, y in points]


def canvas_for(path: Path) -> type[Canvas]:
    """Who draws this file.

    :raises ConfigError: nobody
    """
    match path.suffix.lower():
        case ".svg":
            return SvgCanvas
        case ".png":
            return PngCanvas
        case _:
            raise ConfigError(f"--plot {path}: write a name that ends in .svg or .png", key="plot")
