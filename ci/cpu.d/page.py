"""The page, made of the latest line of every show in the journal. Pure functions."""

HOW = """\
A burst is one run of the program, all else on the machine at rest, with the rate of a register-only FMA loop before and
after it as a share of the best seen. Where that fell below 0.95, or others used over 5 % of the processors meanwhile, the
burst is thrown away whole and made again; rounds that the program itself discarded inside one are told apart. Intervals
are the program's 95 % ones, or a range where that is said. Outputs are not compared here (`--parity off`): tests do that.
"""


def latest(lines, machine, build, threads):
    """{show: line} of the latest of each show by this build on this machine."""
    found = {line["show"]: line for line in lines
             if (line["machine"], line["build"], line["threads"]) == (machine, build, threads)}
    return dict(sorted(found.items()))


def table(header, body):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in body]


def number(value):
    return f"{value:.3f}" if value != int(value) else f"{value:.0f}"


def figure_line(figure):
    if figure["verdict"] == "not measured":
        return [figure["name"], "-", "-", "-", "not measured", figure["note"]]
    bounds = "-" if figure["low"] is None else f"[{number(figure['low'])}, {number(figure['high'])}]"
    return [figure["name"], number(figure["value"]), bounds, figure["goal"], figure["verdict"].upper(), figure["note"]]


def burst_line(burst):
    rates = "-" if burst["rates"] is None else "{:.2f}, {:.2f}".format(*burst["rates"])
    return [burst["name"], rates, f"{burst['foreign']:.0%}", burst["thrown"], burst["discarded"], f"{burst['seconds']:.0f} s",
            burst["reason"] or "ok"]


def show_section(line):
    return [f"## Show {line['show']}: {line['title']}", "",
            *table(["", "measured", "95 %", "goal", "", ""], map(figure_line, line["figures"])), "",
            f"{line['when']} UTC; best FMA rate {line['fma_peak'] * 1e-9:.0f} GFLOP/s.", "",
            *table(["burst", "FMA rate before, after", "others", "thrown away", "rounds discarded", "took", ""],
                   map(burst_line, line["bursts"])), ""]


def page(lines, machine, build, threads):
    head = ["# What the CPU backend reaches, beside its goals", "", HOW, *table(["machine", ""], machine.items()), "",
            f"{threads} threads unless said, build {build}.", ""]
    return "\n".join(head + [text for line in lines.values() for text in show_section(line)] + ["Again: `ci/cpu-shows`", ""])
