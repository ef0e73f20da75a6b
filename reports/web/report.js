"use strict";
// The page's behaviour: sorting and filtering the table, drawing the charts. All text goes in as text
// (textContent, chart labels on canvas), never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const points = data.points.filter((p) => p.ok && p.median !== null);
  const table = document.getElementById("results");
  const body = table.tBodies[0];

  // ---- table
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    return cell.textContent === "-" ? null : cell.textContent;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  table.querySelectorAll("thead th").forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // nothing stands last
        return descending ? compare(b, a) : compare(a, b);
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });

  // ---- charts
  const style = () => {
    const css = getComputedStyle(document.documentElement);
    return { text: css.getPropertyValue("--text").trim(), line: css.getPropertyValue("--line").trim() };
  };
  const palette = ["#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#06b6d4", "#ec4899", "#84cc16", "#a16207", "#64748b"];
  const colour = (i) => palette[i % palette.length];
  const charts = {};
  const milliseconds = (ns) => ns / 1e6;
  // Passages stored in several ways are told apart only where there are several.
  const stored = new Set(points.filter((p) => p.storage).map((p) => p.storage)).size > 1;
  const kind = (p) => p.variant + (stored && p.storage ? " " + p.storage : "");
  const label = (p) => kind(p) + (p.k === null ? "" : " k" + p.k);
  // One hue for each k, which decomposed (dashed) and cached share: any number of k can be told apart.
  const hues = (list) => {
    const ks = [...new Set(list.map((p) => p.k).filter((k) => k !== null))].sort((a, b) => a - b);
    return (p) => p.k === null ? style().text : `hsl(${ks.length < 2 ? 215 : 215 - 215 * ks.indexOf(p.k) / (ks.length - 1)} 75% 52%)`;
  };
  // Bars side by side, each with its name: as high as they are many.
  const bars = (id, rows, datasets, title) => {
    document.getElementById(id).parentElement.style.height = Math.max(300, 110 + 22 * rows.length) + "px";
    draw(id, { type: "bar", data: { labels: rows.map(label), datasets }, options: { indexAxis: "y", scales: {
      x: { stacked: true, title: { text: title } }, y: { stacked: true, ticks: { autoSkip: false } } } } });
  };

  // Draws the 95 % interval of every point that has one (fields lo and hi of its data).
  const intervals = {
    id: "intervals",
    afterDatasetsDraw(chart) {
      const { ctx, scales, chartArea } = chart;
      chart.data.datasets.forEach((set, i) => {
        if (!chart.isDatasetVisible(i)) return;
        chart.getDatasetMeta(i).data.forEach((element, j) => {
          const d = set.data[j];
          if (!d || typeof d !== "object" || d.lo == null || d.hi == null) return;
          const low = scales.y.getPixelForValue(d.lo), high = scales.y.getPixelForValue(d.hi);
          ctx.save();
          ctx.beginPath();
          ctx.rect(chartArea.left - 5, chartArea.top, chartArea.width + 10, chartArea.height);
          ctx.clip();
          ctx.strokeStyle = set.borderColor;
          ctx.beginPath();
          ctx.moveTo(element.x, low); ctx.lineTo(element.x, high);
          for (const y of [low, high]) { ctx.moveTo(element.x - 4, y); ctx.lineTo(element.x + 4, y); }
          ctx.stroke();
          ctx.restore();
        });
      });
    },
  };

  const draw = (id, config, why) => {
    if (charts[id]) charts[id].destroy();
    delete charts[id];
    const figure = document.getElementById("figure-" + id);
    const empty = !config;
    figure.querySelector(".why").textContent = why || "";
    figure.querySelector(".canvas").hidden = empty;
    if (empty) return;
    const { text, line } = style();
    config.options = Object.assign({ responsive: true, maintainAspectRatio: false, animation: false }, config.options);
    config.options.plugins = Object.assign({ legend: { labels: { color: text, boxWidth: 12, padding: 7, font: { size: 11 } } } }, config.options.plugins);
    for (const scale of Object.values(config.options.scales || {})) {
      scale.ticks = Object.assign({ color: text }, scale.ticks);
      scale.grid = { color: line };
      if (scale.title) { scale.title.display = true; scale.title.color = text; }
    }
    config.plugins = [intervals];
    charts[id] = new Chart(document.getElementById(id), config);
  };
  // The scale must hold the ends of the intervals, which the library does not see; but one that is
  // far wider than all that was measured would flatten every line: it leaves the chart.
  const highest = (sets) => {
    const measured = Math.max(0, ...sets.flatMap((set) => set.data.map((d) => d.y)));
    const ends = Math.max(0, ...sets.flatMap((set) => set.data.map((d) => (d.hi == null ? d.y : d.hi))));
    return Math.min(ends, 1.3 * measured);
  };
  const linear = (title, extra) => Object.assign({ type: "linear", title: { text: title } }, extra);
  const sortedBy = (list, key) => list.slice().sort((a, b) => a[key] - b[key]);

  const drawSplit = (group) => {
    const sets = [];
    const measured = group.filter((p) => p.speedup !== null);
    [...new Set(measured.map(kind))].forEach((name, i) => {
      const list = sortedBy(measured.filter((p) => kind(p) === name), "k");
      sets.push({ label: name + ", measured", borderColor: colour(i), backgroundColor: colour(i), showLine: true,
        data: list.map((p) => ({ x: p.k, y: p.speedup, lo: p.slow, hi: p.shigh })) });
      sets.push({ label: name + ", FLOPs", borderColor: colour(i), backgroundColor: "transparent", borderDash: [6, 4],
        pointRadius: 2, showLine: true, data: list.filter((p) => p.flops !== null).map((p) => ({ x: p.k, y: p.flops })) });
    });
    if (!sets.length) return draw("split", null, "no speedup was measured at this shape");
    draw("split", { type: "scatter", data: { datasets: sets }, options: { scales: {
      x: linear("split layer k", { ticks: { precision: 0 } }), y: linear("speedup over full", { beginAtZero: true, suggestedMax: highest(sets) }) } } },
      "bars: 95 % interval; dashed: what FLOPs alone promise");
  };

  const drawPhases = (group) => {
    const rows = group.filter((p) => p.phases.length);
    if (!rows.length) return draw("phases", null, "no phases were recorded at this shape");
    const names = [];
    // encode(joint,9..12) and encode(joint,0..12) are one kind of phase
    const phase = (name) => name.replace(/,\d+\.\.\d+/, "");
    for (const p of rows) for (const [name] of p.phases) if (!names.includes(phase(name))) names.push(phase(name));
    bars("phases", rows, names.map((name, i) => ({ label: name, backgroundColor: colour(i),
      data: rows.map((p) => milliseconds(p.phases.filter((f) => phase(f[0]) === name).reduce((sum, f) => sum + (f[1] || 0), 0))) })), "median, ms");
  };

  // Lines of latency over one axis, everything else as in the shape chosen.
  const drawLatency = (id, all, first, axis, title) => {
    const same = (p) => p.line === first.line && ["q", "p", "b"].every((f) => axis.fields.includes(f) || p[f] === first[f]);
    const list = all.filter(same), hue = hues(list), series = {};
    for (const p of list) (series[label(p)] = series[label(p)] || []).push({ p, x: axis.of(p), y: milliseconds(p.median), lo: milliseconds(p.low), hi: milliseconds(p.high) });
    const sets = Object.entries(series).map(([name, data]) => ({ label: name, showLine: true, borderColor: hue(data[0].p), pointRadius: 2.5,
      backgroundColor: data[0].p.variant === "decomposed" ? "transparent" : hue(data[0].p),
      borderWidth: 2, borderDash: data[0].p.variant === "decomposed" ? [5, 4] : [], data: sortedBy(data, "x") }));
    const varies = new Set(sets.flatMap((s) => s.data.map((d) => d.x))).size > 1;
    if (!varies) return draw(id, null, "one " + title + " only was measured with the rest as in this shape");
    draw(id, { type: "scatter", data: { datasets: sets }, options: { scales: { x: linear(title, { ticks: { precision: 0 } }), y: linear("median, ms", { beginAtZero: true, suggestedMax: highest(sets) }) } } },
      "bars: 95 % interval, cut where it leaves the chart; dashed: decomposed");
  };

  const drawRoofline = (group) => {
    const rows = group.filter((p) => p.intensity !== null && p.gflops !== null);
    if (!rows.length || !data.roofs.length) return draw("roofline", null, "no roofs were measured with these runs");
    const xs = rows.map((p) => p.intensity);
    const left = Math.min(...xs) / 4, right = Math.max(...xs) * 4;
    const hue = hues(rows);
    const sets = rows.map((p) => ({ label: label(p), borderColor: hue(p), backgroundColor: p.variant === "decomposed" ? "transparent" : hue(p), borderWidth: 2, pointRadius: 5, data: [{ x: p.intensity, y: p.gflops }] }));
    for (const roof of data.roofs) {
      const ridge = roof.gflops / roof.gb_per_s;
      const line = [left, Math.min(Math.max(ridge, left), right), right].map((x) => ({ x, y: Math.min(roof.gflops, x * roof.gb_per_s) }));
      sets.push({ label: "roof " + roof.label, data: line, showLine: true, pointRadius: 0, borderColor: "#888", borderDash: [4, 3] });
    }
    draw("roofline", { type: "scatter", data: { datasets: sets }, options: { scales: {
      x: { type: "logarithmic", title: { text: "FLOP per byte of weights and stored passages" } },
      y: { type: "logarithmic", title: { text: "GFLOP/s" } } } } },
      "hollow: decomposed; a point lies above the slope where weights stay in the processor's cache");
  };

  const drawMemory = (group) => {
    const parts = [["weights", "packed weights"], ["pool", "pools of the set"], ["peak", "activations"]].filter(([f]) => group.some((p) => p[f] !== null));
    if (!parts.length) return draw("memory", null, "no memory was recorded at this shape");
    bars("memory", group, parts.map(([f, name], i) => ({ label: name, backgroundColor: colour(i), data: group.map((p) => (p[f] || 0) / 1e6) })), "MB");
  };

  const select = document.getElementById("group");
  const groups = [...new Set(points.map((p) => p.group))];
  for (const name of groups) {
    const option = document.createElement("option");
    option.textContent = name;
    option.value = name;
    select.append(option);
  }
  const drawAll = () => {
    const group = points.filter((p) => p.group === select.value);
    if (!group.length) {
      for (const id of ["split", "phases", "length", "batch", "roofline", "memory"]) draw(id, null, "nothing was measured");
      return;
    }
    drawSplit(group);
    drawPhases(group);
    drawLatency("length", points, group[0], { fields: ["q", "p"], of: (p) => p.q + p.p }, "length (tokens of a pair)");
    drawLatency("batch", points, group[0], { fields: ["b"], of: (p) => p.b }, "batch");
    drawRoofline(group);
    drawMemory(group);
  };
  select.addEventListener("change", drawAll);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
    root.dataset.theme = isDark ? "light" : "dark";
    drawAll();
  });
  dark.addEventListener("change", drawAll);
  drawAll();
})();
