// Curves. The kernel smooths and reduces; here lines are joined to one x axis and painted.
ava.DASHES = [[], [10, 4], [2, 3], [10, 4, 2, 4], [5, 3], [14, 4], [1, 4], [8, 3, 1, 3]];

ava.chart = (channel) => {
  const { h } = ava;
  let lines = [];
  let state = { generation: -1, metric: "loss", log: false, window: null };
  let plot = null;
  let waits = 0;
  let newest = 0;
  let shape = "";
  const lags = [];

  const box = h("div", { class: "ava-plot", role: "img", "data-ava": "chart", "data-n": "0", "aria-label": "no run is followed" });
  const empty = h("div", { class: "ava-empty ava-dim", text: "The curve begins with the first step." });
  const legend = h("div", { class: "ava-legendline", "aria-hidden": "true" });
  const metric = h("select", { "data-ava": "metric" });
  const smoothing = h("select", { "data-ava": "smoothing" });
  const log = h("input", { type: "checkbox", "data-ava": "log-axis" });
  metric.addEventListener("change", () => channel.send("metric", { name: metric.value }));
  smoothing.addEventListener("change", () => channel.send("smoothing", { place: Number(smoothing.value) }));
  log.addEventListener("change", () => channel.send("log_axis", { on: log.checked }));
  const table = h("div", { class: "ava-data", hidden: true, tabindex: "0", role: "group", "aria-label": "The curve as a table" });
  const asTable = ava.button("table", "Table", () => {
    table.hidden = !table.hidden;
    ava.attr(asTable, "aria-expanded", String(!table.hidden));
    if (!table.hidden) channel.send("table");
  }, { class: "ava-quiet", "aria-expanded": "false" });

  const colour = (name) => getComputedStyle(box).getPropertyValue(name).trim() || "#888";
  const paint = (line) => {
    const one = state.runs.length === 1;
    const stroke = colour(line.role === "raw" ? "--ava-raw" : line.role === "smooth" ? "--ava-smooth"
      : line.role === "val" ? "--ava-val" : `--ava-run-${line.colour}`);
    const alone = one && line.role === "raw" && !lines.some((each) => each.role === "smooth");
    return {
      stroke: alone ? colour("--ava-smooth") : stroke,
      width: line.role === "raw" && !alone ? 1 : 2,
      dash: line.role === "val" ? [6, 4] : line.role === "run" ? ava.DASHES[line.colour % 8] : [],
      points: line.role === "val",
    };
  };

  // A piece of the line, as it is drawn.
  const sample = (look) => {
    const names = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(names, "svg");
    const line = document.createElementNS(names, "line");
    for (const [name, value] of Object.entries({ width: 28, height: 8 })) svg.setAttribute(name, value);
    for (const [name, value] of Object.entries({
      x1: 0, x2: 28, y1: 4, y2: 4, stroke: look.stroke, "stroke-width": look.width + 0.5, "stroke-dasharray": look.dash.join(" "),
    })) line.setAttribute(name, value);
    svg.append(line);
    return svg;
  };

  const joined = () => {
    const tables = lines.map((line) => [line.x, state.log ? line.y.map((y) => (y > 0 ? y : null)) : line.y]);
    return tables.length ? uPlot.join(tables) : [[]];
  };

  const readout = (place) => {
    const values = lines.map((line, index) => {
      const data = plot?.data?.[index + 1];
      if (!data) return "–";
      let at = place ?? data.length - 1;
      while (at >= 0 && (data[at] === null || data[at] === undefined)) at -= 1;
      return at >= 0 ? Number(data[at]).toPrecision(4) : "–";
    });
    const step = place === null || place === undefined ? "" : `step ${plot?.data?.[0]?.[place]}`;
    const looks = lines.map(paint);
    ava.redraw(legend, [lines.map((line) => line.name), looks, values, step], () => [
      ...[...lines.keys()].reverse().map((index) => {
        return h("span", { class: "ava-entry" }, sample(looks[index]),
          h("span", { text: lines[index].name }), h("b", { text: values[index] }));
      }),
      h("span", { class: "ava-dim", text: step }),
    ]);
  };

  const size = () => ({ width: Math.max(box.clientWidth, 80), height: Math.max(box.clientHeight, 80) });

  const build = () => {
    plot?.destroy();
    plot = null;
    if (!lines.length || !box.isConnected || !box.clientWidth) return;
    const ink = colour("--ava-dim");
    const grid = { stroke: colour("--ava-grid"), width: 1 };
    const font = `12px ${getComputedStyle(box).fontFamily}`;
    const axis = { stroke: ink, grid, ticks: grid, font };
    plot = new uPlot({
      ...size(),
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
      scales: { x: { time: false, range: (_, low, high) => state.window || [low, high] }, y: { distr: state.log ? 3 : 1 } },
      axes: [{ ...axis, size: 32, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : tick.toLocaleString("en"))) },
        { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : ava.short(tick))) }],
      series: [{}, ...lines.map((line) => {
        const look = paint(line);
        return { label: line.name, stroke: look.stroke, width: look.width, dash: look.dash,
          points: { show: look.points || line.x.length < 3, size: 6, stroke: look.stroke, fill: look.stroke } };
      })],
      hooks: {
        setCursor: [(u) => readout(u.cursor.idx)],
        setSelect: [(u) => {
          if (u.select.width < 4) return;
          const ends = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          look(ends);
        }],
        draw: [painted],
      },
    }, joined(), box);
    plot.over.addEventListener("dblclick", () => look(null));
    readout(null);
  };

  // At once with the samples that are here; the kernel answers with all that the window shows.
  const look = (ends) => {
    state.window = ends;
    plot?.setData(joined());
    channel.send("window", { ends });
  };

  const painted = (u) => {
    box.dataset.drawn = String(u.data.length > 1 ? u.data[0].length : 0);
    if (newest) {
      lags.push(Math.round(Date.now() - newest * 1000) / 1000);
      if (lags.length > 200) lags.shift();
      box.dataset.lags = JSON.stringify(lags);
      newest = 0;
    }
  };

  const draw = () => {
    waits = 0;
    const now = JSON.stringify([state.log, state.runs, lines.map((line) => [line.role, line.name, line.colour])]);
    if (!plot || shape !== now) {
      shape = now;
      build();
    } else plot.setData(joined());
    readout(plot?.cursor?.idx ?? null);
    empty.hidden = lines.length > 0;
    const front = lines.filter((line) => line.run === state.runs?.[0]);
    const main = front.find((line) => line.role === "raw") || front[0];
    box.dataset.n = String(main?.total || 0);
    box.dataset.step = String(main?.x.at(-1) ?? 0);
  };
  const later = () => { waits ||= requestAnimationFrame(draw); };

  // Bytes come as a DataView into a larger message, which need not be aligned.
  const floats = (view) => new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const values = (view) => Array.from(floats(view), (y) => (Number.isFinite(y) ? y : null));

  channel.on("curve", (message, buffers) => {
    state = message;
    lines = message.lines.map((line, place) => ({
      ...line, x: Array.from(floats(buffers[2 * place])), y: values(buffers[2 * place + 1]),
    }));
    const options = message.metrics.length ? message.metrics : [message.metric];
    ava.redraw(metric, options, (names) => names.map((name) => h("option", { value: name, text: name })));
    metric.value = message.metric;
    ava.redraw(smoothing, message.weights, (weights) => weights.map((weight, place) =>
      h("option", { value: String(place), text: weight ? String(weight) : "none" })));
    smoothing.value = String(message.smoothing);
    log.checked = message.log;
    box.setAttribute("aria-label", message.words);
    if (!table.hidden) channel.send("table");
    later();
  });

  channel.on("points", (message, buffers) => {
    if (message.generation !== state.generation) return;
    message.lines.forEach(([place, total], index) => {
      const line = lines[place];
      for (const x of floats(buffers[2 * index])) line.x.push(x);
      line.y.push(...values(buffers[2 * index + 1]));
      line.total = total;
    });
    if (message.words) box.setAttribute("aria-label", message.words);
    if (message.t) newest = message.t;
    if (message.lines.length) later();
  });

  channel.on("table", (message) => {
    ava.redraw(table, [message.head, message.rows], () => [h("table", {},
      h("caption", { text: `${state.metric} by step` }),
      h("thead", {}, h("tr", {}, ...message.head.map((text) => h("th", { scope: "col", text })))),
      h("tbody", {}, ...message.rows.map((row) => h("tr", {}, ...row.map((text) => h("td", { text }))))))]);
  });

  const resize = new ResizeObserver(() => { if (plot) plot.setSize(size()); else later(); });
  resize.observe(box);
  const theme = new MutationObserver(() => setTimeout(() => { shape = ""; later(); }, 50));
  theme.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-name", "data-jp-theme-light"] });
  channel.on("end", () => { resize.disconnect(); theme.disconnect(); plot?.destroy(); cancelAnimationFrame(waits); });

  const zoom = (act, words, title, by) => ava.button(act, words, () => channel.send("zoom", { by }),
    { class: "ava-icon", "aria-label": title, title });
  return h("div", { class: "ava-chart" },
    h("div", { class: "ava-bar" },
      ava.labelled("Metric", metric, "ava-slim"), ava.labelled("Smooth", smoothing),
      h("label", { class: "ava-check" }, log, "Log"), h("span", { class: "ava-grow" }),
      h("span", { class: "ava-nowrap" }, zoom("zoom-in", "+", "Show the newest half", 2),
        zoom("zoom-out", "−", "Show more", 0.5), zoom("zoom-all", "All", "Show everything", 0), asTable)),
    h("div", { class: "ava-frame" }, box, empty), legend, table);
};

ava.short = (value) => {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(1).replace("e+", "e") : String(Number(value.toPrecision(4)));
};
