// Runs: the one that is followed, with its progress and its log; and the table of all of them.
ava.progress = (channel) => {
  const { h } = ava;
  let facts = {};
  const sign = h("span", { class: "ava-mark", "aria-hidden": "true" });
  const name = h("strong", { class: "ava-name" });
  const word = h("span", { class: "ava-state" });
  const words = h("div", { class: "ava-words ava-dim" });
  const bar = h("progress", { "aria-label": "Steps done", "data-ava": "progress", max: "1", value: 0 });
  const tiles = h("div", { class: "ava-tiles" });
  const error = h("pre", { class: "ava-error", hidden: true, tabindex: "0", "aria-label": "What went wrong" });
  const ask = (type, more = {}) => () => {
    if (facts.run) channel.send(type, { run: facts.run, ...more });
  };
  const stop = ava.button("stop", "Stop and save", ask("stop"), { class: "ava-quiet" });
  const now = ava.button("stop-now", "End without saving", ask("stop", { now: true }), { class: "ava-quiet" });
  const resume = ava.button("resume", "Go on", ask("resume"), { class: "ava-quiet" });
  const draw = (message) => {
    if (!message.facts) return;
    facts = message.facts;
    ava.text(sign, facts.sign || "");
    ava.text(name, facts.run || "no run");
    ava.text(word, facts.state || "");
    ava.text(words, facts.words || "");
    words.title = facts.words || "";
    ava.attr(sign.parentElement, "data-role", facts.role || "dim");
    bar.max = facts.most || 1;
    bar.value = Math.min(facts.step || 0, facts.most || 1);
    ava.redraw(tiles, facts.tiles || [], (all) => all.map(([label, value]) =>
      h("div", {}, h("span", { text: label }), h("b", { text: value }))));
    error.hidden = !facts.error;
    ava.text(error, facts.error || "");
    const stopping = facts.state === "stopping";
    stop.hidden = !facts.alive || stopping;
    now.hidden = !stopping;
    resume.hidden = facts.alive || !["stopped", "paused", "failed", "vanished"].includes(facts.state);
    const root = bar.closest("[data-ava=panel]");
    if (root) root.dataset.running = facts.alive ? "yes" : "no";
  };
  channel.on("curve", draw);
  channel.on("points", draw);
  return h("div", { class: "ava-progress" },
    h("div", { class: "ava-head" }, sign, name, word, h("span", { class: "ava-acts" }, stop, now, resume)),
    bar, words, tiles, error);
};

ava.log = (channel) => {
  const { h } = ava;
  const box = h("pre", { class: "ava-log", "data-ava": "log", tabindex: "0", role: "group", "aria-label": "Log" });
  let lines = [];
  channel.on("log", (message) => {
    lines = message.more ? [...lines, ...message.lines].slice(-400) : message.lines;
    const below = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
    box.textContent = lines.join("\n");
    if (below) box.scrollTop = box.scrollHeight;
  });
  return h("div", { role: "group", class: "ava-card ava-logcard", "aria-label": "Log" }, h("h4", { text: "Log" }), box);
};

ava.runs = (channel) => {
  const { h } = ava;
  const made = new Map();
  let shown = [];
  const body = h("tbody", {});
  const folder = h("span", { class: "ava-dim" });
  const compared = h("div", { class: "ava-data", hidden: true, tabindex: "0", role: "group", "aria-label": "Comparison" });
  const compare = ava.button("compare", "Compare", () => {
    if (shown.length > 1) channel.send("compare");
  }, { class: "ava-quiet" });

  const follow = (name) => channel.send("follow", { runs: [name] });
  const toggle = (name, on) => {
    const next = on ? [...shown, name] : shown.filter((each) => each !== name);
    channel.send("follow", { runs: next.length ? next : [name] });
  };

  const makeRow = (row) => {
    const box = h("input", { type: "checkbox", "aria-label": `draw ${row.name}`, on: { change: () => toggle(row.name, box.checked) } });
    const open = h("button", { type: "button", class: "ava-link", "data-act": "follow", on: { click: () => follow(row.name) } }, row.name);
    const cells = { box, state: h("td", {}), steps: h("td", { class: "ava-num" }), loss: h("td", { class: "ava-num" }), created: h("td", { class: "ava-dim" }) };
    const el = h("tr", { "data-run": row.name }, h("td", {}, box), h("td", {}, open), cells.state, cells.steps, cells.loss, cells.created);
    made.set(row.name, { el, cells });
    return el;
  };

  const show = (row) => {
    const { el, cells } = made.get(row.name) || {};
    if (!el) return;
    ava.attr(el, "data-state", row.state);
    ava.attr(el, "data-shown", shown[0] === row.name ? "front" : shown.includes(row.name) ? "yes" : "no");
    ava.redraw(cells.state, [row.sign, row.state, row.role], () => [
      h("span", { class: "ava-mark", "aria-hidden": "true", "data-role": row.role, text: row.sign }), ` ${row.state}`]);
    cells.state.title = row.why;
    ava.text(cells.steps, row.steps);
    ava.text(cells.loss, row.loss);
    ava.text(cells.created, row.created);
  };

  channel.on("runs", (message) => {
    shown = message.shown;
    ava.text(folder, message.rows.length ? `in ${message.folder}` : `none yet in ${message.folder}`);
    ava.redraw(body, message.rows.map((row) => row.name), () => {
      made.clear();
      return message.rows.map(makeRow);
    });
    // Only here: a box that was just ticked is not turned back by news about its row.
    for (const row of message.rows) { show(row); made.get(row.name).cells.box.checked = shown.includes(row.name); }
    ava.enable(compare, shown.length > 1, shown.length > 1 ? "" : "tick two runs or more");
    if (shown.length < 2) compared.hidden = true;
  });
  channel.on("rows", (message) => { for (const row of message.rows) show(row); });
  channel.on("compared", (message) => {
    compared.hidden = false;
    ava.redraw(compared, [message.head, message.rows, message.words], () => [
      ...message.words.map((text) => h("p", { text })),
      h("table", {}, h("caption", { text: "Runs side by side" }),
        h("thead", {}, h("tr", {}, ...message.head.map((text) => h("th", { scope: "col", text })))),
        h("tbody", {}, ...message.rows.map((row) => h("tr", {}, ...row.map((text) => h("td", { text }))))))]);
  });

  const head = ["", "run", "state", "step", "loss", "made"].map((text) => (text
    ? h("th", { scope: "col", text }) : h("th", { scope: "col" }, h("span", { class: "ava-hidden", text: "drawn" }))));
  return h("div", { role: "group", class: "ava-card ava-runscard", "aria-label": "Runs" },
    h("div", { class: "ava-bar" }, h("h4", { text: "Runs" }), folder, h("span", { class: "ava-grow" }), compare),
    h("div", { class: "ava-scroll", tabindex: "0", role: "group", "aria-label": "Table of runs" },
      h("table", { class: "ava-table", "data-ava": "runs" }, h("thead", {}, h("tr", {}, ...head)), body)),
    compared);
};
