#!/usr/bin/env python3
"""Growth of the assignment: a table (Markdown) and a log-log plot (SVG) of seconds against points.

  lap_growth.py LAYOUT_DIR OUT_DIR --bench BINARY [--kinds tsne,clusters] [--sizes 1024,...] [--repeat 3] [--effort-above N:E]
                [--peers PEERS.py --peers-up-to 4096]

LAYOUT_DIR holds KIND-N.f64 (and .npy for the peers), as layouts.py writes them. BINARY is the built bench
(`cargo bench --bench assignment --no-run` names it); peers run in this Python (PEERS.py POINTS.npy WIDTH HEIGHT prints lines `NAME n=… SECONDS s … cost COST`), right after ours on the same points, so that the ratios come from one run.
"""
import argparse, math, pathlib, re, subprocess, sys

COLOURS = ["#1b6ca8", "#c8553d", "#588157", "#7b2d8b", "#8a817c", "#e09f3e", "#444444"]


def near_square(n):
    width = math.ceil(math.sqrt(n))
    return width, math.ceil(n / width)


def ours(a, kind, n, extra):
    width, height = near_square(n); repeat = a.repeat if n <= 20_000 else 1
    command = ["/usr/bin/time", "-f", "RSS %M", a.bench, str(a.layouts / f"{kind}-{n}.f64"), str(width), str(height), "--repeat", str(repeat), *extra]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, cost, gap, steps = re.search(r"([\d.]+) s  cost (\S+) gap (\S+) steps (\d+)", done.stdout).groups()
    return dict(kind=kind, n=n, who="ours", s=float(seconds), cost=float(cost), gap=float(gap), steps=int(steps), mb=int(re.search(r"RSS (\d+)", done.stderr)[1]) / 1024)


def peers(a, kind, n):
    width, height = near_square(n)
    done = subprocess.run([sys.executable, a.peers, str(a.layouts / f"{kind}-{n}.npy"), str(width), str(height)], capture_output=True, text=True, check=True)
    for who, seconds, cost in re.findall(r"^(\w+) +n=.*? ([\d.]+) s .*cost (\S+)$", done.stdout, re.M):
        yield dict(kind=kind, n=n, who=who, s=float(seconds), cost=float(cost))


def plot(rows, file):
    series = {}
    for r in rows: series.setdefault(f"{r['who']}, {r['kind']}", []).append((r["n"], max(r["s"], 1e-4)))
    xs = [x for line in series.values() for x, _ in line]; ys = [y for line in series.values() for _, y in line]
    x0, x1 = math.floor(math.log10(min(xs)) * 2) / 2, math.log10(max(xs)) + 0.1; y0, y1 = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    W, H, L, B = 720, 480, 70, 50; X = lambda x: L + (math.log10(x) - x0) / (x1 - x0) * (W - L - 190); Y = lambda y: H - B - (math.log10(y) - y0) / (y1 - y0) * (H - B - 20)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" font-family="sans-serif" font-size="13"><rect width="{W}" height="{H}" fill="#fff"/>']
    for e in range(y0, y1 + 1): out.append(f'<path d="M{L} {Y(10**e):.1f}H{W-190}" stroke="#ddd"/><text x="{L-8}" y="{Y(10**e)+4:.1f}" text-anchor="end">{10.0**e:g} s</text>')
    for e in range(math.ceil(x0), math.floor(x1) + 1): out.append(f'<path d="M{X(10**e):.1f} 20V{H-B}" stroke="#ddd"/><text x="{X(10**e):.1f}" y="{H-B+20}" text-anchor="middle">{10**e:,}</text>')
    out.append(f'<text x="{(L+W-190)/2}" y="{H-8}" text-anchor="middle">points</text>')
    for k, (name, line) in enumerate(series.items()):
        c = COLOURS[k % len(COLOURS)]; line.sort(); dash = "" if name.startswith("ours") else ' stroke-dasharray="5 3"'
        out.append(f'<polyline fill="none" stroke="{c}" stroke-width="2"{dash} points="{" ".join(f"{X(x):.1f},{Y(y):.1f}" for x, y in line)}"/>')
        out += [f'<circle cx="{X(x):.1f}" cy="{Y(y):.1f}" r="3" fill="{c}"/>' for x, y in line]
        out.append(f'<text x="{W-180}" y="{40+20*k}" fill="{c}">{name}</text>')
    file.write_text("\n".join(out) + "\n</svg>\n")


if __name__ == "__main__":
    p = argparse.ArgumentParser(); p.add_argument("layouts", type=pathlib.Path); p.add_argument("out", type=pathlib.Path); p.add_argument("--bench", required=True)
    p.add_argument("--kinds", default="tsne,clusters,uniform,line,equal"); p.add_argument("--sizes", default="1024,4096,10000,30000,100000"); p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--effort-above", help="N:E, effort E for more than N points"); p.add_argument("--peers"); p.add_argument("--peers-up-to", type=int, default=4096); a = p.parse_args()
    above, effort = map(int, (a.effort_above or "1000000000:0").split(":")); rows = []
    for kind in a.kinds.split(","):
        for n in map(int, a.sizes.split(",")):
            rows.append(ours(a, kind, n, ["--effort", str(effort)] if n > above else [])); print(rows[-1], flush=True)
            # The peers divide by the extent of each axis: a layout without one is not for them.
            if a.peers and n <= a.peers_up_to and kind != "equal":
                for r in peers(a, kind, n): rows.append(r); print(r, flush=True)
    a.out.mkdir(parents=True, exist_ok=True); table = ["| layout | points | solver | seconds | cost | gap | steps per point | peak MB |", "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        mine = r["who"] == "ours"
        table.append(f"| {r['kind']} | {r['n']:,} | {r['who']} | {r['s']:.3f} | {r['cost']:.9f} | {format(r['gap'], '.1e') if mine and r['gap'] else '0' if mine else ''} | {round(r['steps'] / r['n']) if mine else ''} | {round(r['mb']) if mine else ''} |")
    (a.out / "growth.md").write_text("\n".join(table) + "\n"); plot(rows, a.out / "growth.svg")
