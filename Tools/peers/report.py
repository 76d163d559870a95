"""The results as a Markdown table and as a roofline picture."""

import math
from statistics import median

ORDER = ["decode", "prefill", "flow", "vocoder", "linguistic", "semantic", "speaker"]


def rate(row, seconds):
    """Tokens a second, or seconds of work for a second of sound."""
    if "seconds" in row:
        return f"real-time factor {seconds / row['seconds']:.3f}"
    tokens = row["context"] if row["stage"] == "prefill" else row["batch"]
    return f"{tokens / seconds:.2f} tokens/s"


def title(row):
    if "seconds" in row:
        return f"{row['stage']}, {row['seconds']:g} s"
    detail = f"{row['context']} tokens" if row["stage"] == "prefill" else f"batch {row['batch']}"
    return f"{row['stage']} {row['precision']}, {detail}, {row['layers']} layers"


def table(rows):
    """One line a row: our median, every peer's, and how many times faster we are than the best of them."""
    rows = sorted(rows, key=lambda row: (ORDER.index(row["stage"]), row.get("precision", ""), row.get("batch", 0)))
    lines = ["| stage | StepAudio | peers | against the best peer | share of the limit |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        times = {name: median(values) for name, values in row["engines"].items()}
        own = times.pop("stepaudio", None)
        peers = "; ".join(f"{name} {rate(row, value)}" for name, value in times.items())
        ratio = f"{min(times.values()) / own:.2f} x" if own and times else ""
        bench = row["facts"].get("bench", {})
        share = f"{bench['share_of_limit']:.0%} of {bench['limit']}" if bench.get("share_of_limit") else ""
        lines.append(f"| {title(row)} | {rate(row, own) if own else ''} | {peers} | {ratio} | {share} |")
    return "\n".join(lines) + "\n"


def roofline(rows):
    """Operations a byte against operations a second, both logarithmic, below the machine's limits."""
    rows = [row for row in rows if row["facts"].get("bench", {}).get("gigaflops")]
    if not rows:
        return "<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n"
    machine = rows[-1]["facts"]["machine"]
    left, top, width, height = 70, 30, 560, 330
    low, high, floor, roof = 0.5, 4096, 4, 2 * machine["int4_gigaops"]

    def place(intensity, speed):
        x = left + width * math.log(min(max(intensity, low), high) / low) / math.log(high / low)
        y = top + height * (1 - math.log(min(max(speed, floor), roof) / floor) / math.log(roof / floor))
        return x, y
    text = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 170}" height="{top + height + 50}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="#fafafa" stroke="#cccccc"/>',
    ]
    bandwidth = machine["read_gigabytes_per_second"]
    for name, colour in (("int4", "#aa6644"), ("int8", "#669944"), ("fp32", "#4477aa")):
        peak = machine[name + ("_gigaflops" if name == "fp32" else "_gigaops")]
        points = [place(low, low * bandwidth), place(peak / bandwidth, peak), place(high, peak)]
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        text.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        text.append(f'<text x="{left + width + 6}" y="{points[2][1] + 4:.0f}" fill="{colour}">{name} products {peak:.0f}</text>')
    for row in rows:
        bench = row["facts"]["bench"]
        seconds = median(row["engines"]["stepaudio"])
        speed = bench["gigaflops"] * bench["seconds"] / seconds
        # A stage that is bound by products keeps its weights near: it is drawn at the right edge of its roof.
        read = bench.get("gigabytes_per_second")
        x, y = place(bench["gigaflops"] / read if read else high / 2, speed)
        colour = {"int4": "#aa6644", "int8": "#669944"}.get(row.get("precision"), "#4477aa")
        text.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="{colour}"/>')
        side = ("end", -7) if x > left + width / 2 else ("start", 7)
        text.append(f'<text x="{x + side[1]:.0f}" y="{y + 4:.0f}" text-anchor="{side[0]}">{title(row)}</text>')
    for value in (1, 8, 64, 512, 4096):
        x, _ = place(value, floor)
        text.append(f'<text x="{x:.0f}" y="{top + height + 16}" text-anchor="middle">{value}</text>')
    for value in (10, 100, 1000):
        if floor < value < roof:
            _, y = place(low, value)
            text.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{value}</text>')
    text.append(f'<text x="{left + width / 2:.0f}" y="{top + height + 38}" text-anchor="middle">operations for a byte of '
                f'weights and cache; memory is read at {bandwidth:.1f} GB/s</text>')
    text.append(f'<text x="{left}" y="20">10^9 operations a second, {machine["threads"]} threads, '
                f'{machine["kernels"]}</text>')
    return "\n".join([*text, "</svg>", ""])
