"""Shapes on one time axis, in painting order."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.report.axis import Scale

WIDTH, LEFT, RIGHT = 1120.0, 168.0, 1104.0
# The width of one letter of the report's font, on average, at the size that labels have.
LETTER = 6.3
# The same of a lane's name.
BOLD = 7.2


@dataclass(frozen=True, slots=True)
class Rect:
    """A box; `title` is what a pointer or a screen reader is told."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """A line as SVG path data."""

    d: str
    style: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A label."""

    x: float
    y: float
    text: str
    style: str = ""


@dataclass(slots=True)
class Drawing:
    """All shapes in painting order, and where the next lane begins."""

    time: Scale
    y: float = 4.0
    back: list[Rect] = field(default_factory=list)
    rects: list[Rect] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    front: list[Rect] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    width: float = WIDTH

    def label(self, y: float, text: str, style: str = "lane") -> None:
        """Name a lane at the left."""
        most = int((LEFT - 8) / (BOLD if style == "lane" else LETTER))
        self.texts.append(Text(0, y, text if len(text) <= most else text[: most - 1] + "…", style))

    def rail(self, y: float, start: float = LEFT) -> None:
        """Draw a faint line behind everything."""
        self.back.append(Rect(start, y, round(RIGHT - start, 1), 1, "rail"))

    def span(self, start: float, end: float, y: float, height: float, style: str, title: str) -> Rect:
        """Paint a stretch of time, at least a hair wide."""
        x = self.time(start)
        rect = Rect(x, y, max(2.0, round(self.time(end) - x, 1)), height, style, title)
        self.rects.append(rect)
        return rect
