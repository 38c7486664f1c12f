"""The plots of benchmarks."""

import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.plot import lines

SVG = "{http://www.w3.org/2000/svg}"


def test_a_plot_has_every_point_inside_and_names_that_need_escaping(tmp_path: Path) -> None:
    series = {"a < b": [(50_000, 1.2), (10_000, 0.22)], "none": [(10_000, 0.0)]}
    lines(tmp_path / "plot.svg", "R&D", ("servers", "seconds"), series)
    root = ET.parse(tmp_path / "plot.svg").getroot()
    wide, high = float(root.attrib["width"]), float(root.attrib["height"])
    circles = [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in root.iter(f"{SVG}circle")]
    assert len(circles) == 3
    assert all(0 < x < wide and 0 < y < high for x, y in circles)
    texts = {each.text for each in root.iter(f"{SVG}text")}
    assert {"a < b", "none", "R&D", "servers", "seconds", "50,000"} <= texts
    (line,) = [each for each in root.iter(f"{SVG}polyline") if each.attrib["points"].count(",") == 2]
    xs = [float(pair.split(",")[0]) for pair in line.attrib["points"].split()]
    assert xs == sorted(xs)
