"""A log-log plot of seconds against points as SVG, imported by other scripts in this folder."""

import math
import pathlib

COLOURS = ["#1b6ca8", "#c8553d", "#588157", "#7b2d8b", "#8a817c", "#e09f3e", "#444444"]
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 720, 480, 70, 190, 50, 20


def plot(series, file):
    """Plots {name: [(points, seconds), ...]}; lines of names that begin with "ours" are solid, others dashed."""
    points = [x for line in series.values() for x, _ in line]
    seconds = [max(y, 1e-4) for line in series.values() for _, y in line]
    low_x, high_x = math.floor(math.log10(min(points)) * 2) / 2, math.log10(max(points)) + 0.1
    low_y, high_y = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def at(x, y):
        across = (math.log10(x) - low_x) / (high_x - low_x)
        up = (math.log10(max(y, 1e-4)) - low_y) / (high_y - low_y)
        return LEFT + across * (right - LEFT), bottom - up * (bottom - TOP)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
           f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for power in range(low_y, high_y + 1):
        y = at(10**low_x, 10**power)[1]
        out.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
    for power in range(math.ceil(low_x), math.floor(high_x) + 1):
        x = at(10**power, 10**low_y)[0]
        out.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#ddd"/>'
                   f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{10**power:,}</text>')
    out.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">points</text>')
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        dash = "" if name.startswith("ours") else ' stroke-dasharray="5 3"'
        places = [at(x, y) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2"{dash} points="{path}"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        out.append(f'<text x="{WIDTH - RIGHT + 10}" y="{40 + 20 * number}" fill="{colour}">{name}</text>')
    pathlib.Path(file).write_text("\n".join(out) + "\n</svg>\n")
