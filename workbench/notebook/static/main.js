// Which widget shows which parts, and what holds them together: header, notices, status, liveness.
ava.header = (channel) => {
  const { h } = ava;
  const title = h("span", { class: "ava-title" });
  const pick = (type, name) => {
    const select = h("select", { "data-ava": name });
    select.addEventListener("change", () => {
      channel.edited = channel.seq + 1;
      channel.send(type, { name: select.value });
    });
    return select;
  };
  const recipe = pick("recipe", "recipe");
  const hardware = pick("hardware", "hardware");
  const undo = ava.button("undo", "Undo", () => channel.send("undo"), { class: "ava-quiet" });
  const redo = ava.button("redo", "Redo", () => channel.send("redo"), { class: "ava-quiet" });
  const file = h("input", { type: "text", placeholder: "my-plan.yaml", "data-ava": "file", autocomplete: "off", spellcheck: "false" });
  const save = ava.button("save", "Save", () => { if (file.value) channel.send("save", { path: file.value }); }, { class: "ava-quiet" });
  const fill = (select, groups) => ava.redraw(select, groups, () => groups.map((group) =>
    h("optgroup", { label: group.title }, ...group.items.map((item) =>
      h("option", { value: item.name, text: item.title, title: item.note || "" })))));
  const choose = (select, value, words) => {
    if (![...select.options].some((option) => option.value === value)) {
      select.prepend(h("option", { value, text: words }));
    }
    select.value = value;
  };
  channel.on("pickers", (message) => { fill(recipe, message.recipes); fill(hardware, message.devices); });
  channel.on("plan", (message) => {
    choose(recipe, message.recipe, message.title);
    choose(hardware, message.hardware ?? "", message.hardware ?? "unknown");
    ava.text(title, message.edits ? `${message.edits} edit${message.edits > 1 ? "s" : ""}` : "as it is");
    ava.enable(undo, message.undo !== null, message.undo === null ? "nothing to undo" : `undo ${message.undo}`);
    ava.enable(redo, message.redo !== null, message.redo === null ? "nothing to redo" : `redo ${message.redo}`);
  });
  return h("div", { class: "ava-header" },
    ava.labelled("Recipe", recipe, "ava-wide"), ava.labelled("Hardware", hardware, "ava-wide"),
    h("span", { class: "ava-acts" }, title, undo, redo),
    h("span", { class: "ava-acts" }, ava.labelled("Save as", file), save));
};

// Errors and questions lie over the panel's head: nothing below moves.
ava.notice = (channel) => {
  const { h } = ava;
  const box = h("div", { class: "ava-notice", "data-ava": "notice", role: "alert", hidden: true });
  const close = () => { box.hidden = true; box.replaceChildren(); };
  channel.on("trouble", (message) => {
    if (message.about) return;
    box.hidden = false;
    box.dataset.kind = "trouble";
    box.replaceChildren(h("pre", { text: message.text }), ava.button("no", "Close", close, { class: "ava-quiet" }));
  });
  channel.on("ask", (message) => {
    box.hidden = false;
    box.dataset.kind = "ask";
    const yes = ava.button("yes", message.yes, () => { close(); const { type, ...rest } = message.then; channel.send(type, rest); }, { class: "ava-main" });
    box.replaceChildren(h("p", { text: message.words }), yes, ava.button("no", "Leave it", close, { class: "ava-quiet" }));
    yes.focus();
  });
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  return box;
};

// What a screen reader is told: at most one sentence in five seconds, the newest.
ava.status = (channel) => {
  const { h } = ava;
  const seen = h("span", { class: "ava-dim", "aria-hidden": "true" });
  const spoken = h("span", { class: "ava-hidden", role: "status", "data-ava": "status" });
  let last = 0;
  let timer = 0;
  let next = "";
  const speak = () => { timer = 0; last = Date.now(); ava.text(spoken, next); };
  const say = (words) => {
    next = words;
    timer ||= setTimeout(speak, Math.max(0, last + 5000 - Date.now()));
  };
  let state = "";
  channel.on("said", (message) => { ava.text(seen, message.words); say(message.words); });
  const facts = (message) => {
    const now = message.facts;
    if (!now?.run) return;
    if (now.state !== state || now.alive) say(`${now.run}: ${now.state}, ${now.words}`);
    state = now.state;
  };
  channel.on("curve", facts);
  channel.on("points", facts);
  channel.on("end", () => clearTimeout(timer));
  return h("div", { class: "ava-status" }, seen, spoken);
};

ava.liveness = (channel, model, root) => {
  const { h } = ava;
  const box = h("div", { class: "ava-lost", "data-ava": "lost", role: "alert", hidden: true });
  const lost = (words) => { root.dataset.live = "no"; box.hidden = false; ava.text(box, words); };
  const gone = "The kernel is not connected. A run goes on without it. Run this cell again to follow it.";
  let asked = 0;
  channel.on("any", () => { asked = 0; root.dataset.live = "yes"; box.hidden = true; });
  channel.on("lost", () => lost(gone));
  model.on("comm_live_update", () => lost(gone));
  // Two greetings warm the route to the kernel: the first may leave before its subshell is there.
  const hello = () => { asked ||= Date.now(); channel.send("hello"); };
  hello();
  const second = setTimeout(hello, 700);
  const beat = setInterval(() => {
    if (asked && Date.now() - asked > 8000) lost("The kernel does not answer; it may be busy. A run goes on without it.");
    hello();
  }, 10000);
  channel.on("end", () => { clearTimeout(second); clearInterval(beat); });
  return box;
};

ava.PARTS = {
  workbench: (channel) => [ava.header(channel), ava.form(channel),
    ava.h("div", { class: "ava-card ava-side" }, ava.estimate(channel), ava.findings(channel), ava.launch(channel)),
    ava.h("div", { role: "group", class: "ava-card ava-run", "aria-label": "Run" }, ava.progress(channel), ava.chart(channel)),
    ava.runs(channel), ava.log(channel)],
  meter: (channel) => [ava.h("div", { role: "group", class: "ava-card", "aria-label": "Memory" }, ava.meter(channel))],
  form: (channel) => [ava.header(channel), ava.form(channel), ava.h("div", { class: "ava-card" }, ava.findings(channel))],
  curve: (channel) => [ava.h("div", { role: "group", class: "ava-card ava-run", "aria-label": "Run" }, ava.progress(channel), ava.chart(channel))],
  runs: (channel) => [ava.runs(channel),
    ava.h("div", { role: "group", class: "ava-card ava-run", "aria-label": "Run" }, ava.progress(channel), ava.chart(channel)), ava.log(channel)],
};

function render({ model, el }) {
  const channel = ava.channel(model);
  const kind = model.get("kind");
  const root = ava.h("div", { class: "ava", "data-ava": "panel", "data-kind": kind, "data-live": "waiting", "data-running": "no" });
  const grid = ava.h("div", { class: "ava-grid" }, ...ava.PARTS[kind](channel));
  root.append(ava.notice(channel), ava.liveness(channel, model, root), grid, ava.status(channel));
  channel.on("any", (message) => { root.dataset.rev = String(message.rev); });
  el.append(root);
  const take = (message, buffers) => channel.take(message, buffers);
  model.on("msg:custom", take);
  // JupyterLab takes letters as its own commands wherever they are not typed into an input.
  root.addEventListener("keydown", (event) => event.stopPropagation());
  // Until the kernel answers: what it sent to a page that is gone may have turned the route there.
  let tries = 0;
  const ready = () => { if (root.dataset.live === "waiting" && tries < 20) { tries += 1; channel.send("ready"); } };
  const again = setInterval(ready, 1500);
  ready();
  return () => {
    clearInterval(again);
    channel.send("bye");
    model.off("msg:custom", take);
    channel.tell("end", {});
    root.remove();
  };
}

export default { render };
