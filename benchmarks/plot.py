"""Lines over sizes as an SVG, with nothing but text: a plot that any browser shows."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

WIDTH: Final = 720
HEIGHT: Final = 420
LEFT: Final = 70
RIGHT: Final = 190
TOP: Final = 40
BOTTOM: Final = 50
COLOURS: Final = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")

Points = Sequence[tuple[float, float]]


def _ticks(greatest: float) -> list[float]:
    """Round numbers from 0 to at least `greatest`, about five of them."""
    step = 10.0 ** len(str(int(greatest))) / 1000 if greatest >= 1 else 0.001
    while greatest / step > 5:
        step *= 2 if str(step).strip("0.")[:1] != "2" else 2.5
    count = int(greatest / step - 1e-9) + 1
    return [step * number for number in range(count + 1)]


def lines(path: Path, title: str, axes: tuple[str, str], series: Mapping[str, Points]) -> None:
    """Write `series` (name -> points) to `path`; both axes begin at 0. `axes`: what is along x and y, with units."""
    across = _ticks(max(x for points in series.values() for x, _ in points))
    up = _ticks(max(y for points in series.values() for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return round(LEFT + x / across[-1] * wide, 1), round(TOP + (1 - y / up[-1]) * high, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
    ]
    for value in up:
        (x, y), (end, _) = place(0, value), place(across[-1], value)
        parts.append(f'<line x1="{x}" y1="{y}" x2="{end}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 8}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    for value in across:
        x, y = place(value, 0)
        parts.append(f'<line x1="{x}" y1="{y}" x2="{x}" y2="{y + 5}" stroke="black"/>')
        parts.append(f'<text x="{x}" y="{y + 19}" text-anchor="middle">{value:,g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(axes[0])}</text>')
    parts.append(
        f'<text transform="rotate(-90)" x="{-HEIGHT / 2}" y="16" text-anchor="middle">{escape(axes[1])}</text>'
    )
    for index, (name, points) in enumerate(series.items()):
        colour, placed = COLOURS[index % len(COLOURS)], [place(*point) for point in sorted(points)]
        path_of = " ".join(f"{x},{y}" for x, y in placed)
        parts.append(f'<polyline points="{path_of}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in placed]
        parts.append(
            f'<text x="{WIDTH - RIGHT + 12}" y="{TOP + 10 + 18 * index}" fill="{colour}">{escape(name)}</text>'
        )
    path.write_text("\n".join([*parts, "</svg>", ""]))
