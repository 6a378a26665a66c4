// The form: sections of rows, each an input for one key; only rows that are shown are in the page.
ava.form = (channel) => {
  const { h } = ava;
  const rows = new Map();
  let focus = 0;
  let helped = "";

  const search = h("input", {
    type: "search", "data-ava": "search", placeholder: "name, other spelling or meaning",
    autocomplete: "off", spellcheck: "false",
  });
  const find = ava.debounce(80, () => channel.send("search", { words: search.value }));
  search.addEventListener("input", find);
  const everything = h("input", { type: "checkbox", "data-ava": "everything" });
  everything.addEventListener("change", () => channel.send("everything", { on: everything.checked }));
  const count = h("span", { class: "ava-dim", "data-ava": "found" });
  const list = h("div", { class: "ava-rows", tabindex: "0", role: "group", "aria-label": "Keys of the config" });
  const help = h("div", { class: "ava-help", "data-ava": "help", tabindex: "0", role: "group", "aria-label": "About the key" },
    h("p", { class: "ava-dim", text: "Choose a key to read what it does." }));

  const edit = (row, text) => {
    channel.edited = channel.seq + 1;
    channel.send("edit", { path: row.path, text, focus });
  };

  const input = (row, describedBy) => {
    const common = { "data-input": "", "aria-describedby": describedBy, id: ava.id("key") };
    if (row.type === "boolean") {
      const box = h("input", { type: "checkbox", ...common });
      box.addEventListener("change", () => edit(row, box.checked ? "true" : "false"));
      return box;
    }
    if (row.type === "choice") {
      const choices = row.optional ? ["null", ...row.choices] : row.choices;
      const select = h("select", common,
        ...choices.map((word) => h("option", { value: word, text: word === "null" ? "–" : word })));
      select.addEventListener("change", () => edit(row, select.value));
      return select;
    }
    const isNumber = row.type === "integer" || row.type === "number";
    const box = h("input", {
      type: "text", autocomplete: "off", spellcheck: "false",
      inputmode: row.type === "integer" ? "numeric" : isNumber ? "decimal" : "text",
      placeholder: row.optional ? "none" : "", class: isNumber ? "ava-number" : "", ...common,
    });
    const later = ava.debounce(60, () => {
      edit(row, box.value === "" && row.optional ? "null" : box.value);
    });
    box.addEventListener("input", () => { box.dataset.dirty = "yes"; later(); });
    box.addEventListener("blur", () => {
      if (later.waits()) later.now();
      delete box.dataset.dirty;
      const latest = rows.get(row.path)?.value;
      if (latest) show(row.path, latest);
    });
    box.addEventListener("keydown", (event) => {
      if (!isNumber || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
      event.preventDefault();
      delete box.dataset.dirty;
      channel.edited = channel.seq + 1;
      channel.send("turn", { path: row.path, by: event.key === "ArrowUp" ? 1 : -1 });
    });
    return box;
  };

  const makeRow = (row) => {
    const about = ava.id("about");
    const control = input(row, about);
    const sign = h("span", { class: "ava-sign", "aria-hidden": "true" });
    const unit = h("span", { class: "ava-unit ava-dim" });
    const meta = h("span", { class: "ava-meta ava-dim", id: about });
    const reset = ava.button("reset", "↺", () => {
      channel.edited = channel.seq + 1;
      channel.send("reset", { path: row.path });
      control.focus();
    }, { class: "ava-icon", "aria-label": `take back ${row.name}` });
    const el = h("div", { class: "ava-row", "data-key": row.path, title: row.meaning },
      sign, h("label", { for: control.id, text: row.name }), control, unit, meta, reset);
    control.addEventListener("focus", () => {
      focus += 1;
      if (helped !== row.path) { helped = row.path; channel.send("explain", { path: row.path }); }
    });
    const known = rows.get(row.path)?.value;
    rows.set(row.path, { row, el, control, sign, unit, meta, reset, value: known });
    return el;
  };

  const show = (path, value) => {
    const made = rows.get(path);
    if (!made) return;
    made.value = value;
    if (!made.row) return; // not among the rows that are shown
    const { row, el, control, sign, unit, meta, reset } = made;
    if (row.type === "boolean") control.checked = value.on;
    else if (row.type === "choice") {
      const word = value.none ? "null" : value.text;
      if (![...control.options].some((option) => option.value === word)) {
        control.append(h("option", { value: word, text: word }));
      }
      control.value = word;
    } else if (control.dataset.dirty !== "yes" && control.value !== value.text) {
      control.value = value.text;
    }
    ava.text(unit, value.unit);
    ava.text(sign, { error: "✗", warning: "▲" }[value.worst] || (value.edited ? "●" : ""));
    const worst = value.worst === "error" ? "error, " : value.worst === "warning" ? "warning, " : "";
    const change = value.was ? `was ${value.was}` : value.origin;
    ava.redraw(meta, [worst, change], () => [h("span", { class: "ava-hidden", text: worst }), change]);
    meta.title = value.origin;
    ava.attr(el, "data-worst", value.worst);
    ava.attr(el, "data-set", value.set ? "yes" : "no");
    ava.attr(el, "data-changed", value.was ? "yes" : "no");
    ava.attr(control, "aria-invalid", value.worst === "error" ? "true" : "false");
    reset.style.visibility = value.edited ? "visible" : "hidden";
  };

  channel.on("lines", (message) => {
    if (document.activeElement !== search) search.value = message.words;
    everything.checked = message.everything;
    ava.text(count, message.words
      ? `${message.found} found${message.left ? `, ${message.left} more` : ""}` : "");
    // Rows are made anew; who is typing in one goes on in its successor.
    const typing = [...rows].find(([, made]) => made.control && made.control === document.activeElement);
    ava.redraw(list, message.sections, (sections) => {
      const old = new Map(rows);
      rows.clear();
      for (const [path, made] of old) rows.set(path, { value: made.value });
      return sections.map((section) => {
        const heading = h("button", {
          type: "button", class: "ava-section", "data-section": section.path,
          "aria-expanded": section.open ? "true" : "false",
          on: { click: () => channel.send("section", { path: section.path, on: !section.open }) },
        }, h("span", { class: "ava-turn", "aria-hidden": "true", text: section.open ? "▾" : "▸" }),
        h("span", { text: section.path }), h("span", { class: "ava-dim", text: `${section.count}` }));
        const made = section.rows.map(makeRow);
        return h("div", { role: "group", "aria-label": section.path }, heading, ...made);
      });
    });
    const now = typing && rows.get(typing[0]);
    if (now?.control && now.control !== document.activeElement) {
      const before = typing[1].control;
      if (before.dataset.dirty === "yes") {
        now.control.value = before.value;
        now.control.dataset.dirty = "yes";
      }
      now.control.focus();
    }
  });

  channel.on("plan", (message) => {
    for (const [path, value] of Object.entries(message.values)) show(path, value);
  });

  channel.on("trouble", (message) => {
    const made = message.about && rows.get(message.about);
    if (made?.control) {
      ava.attr(made.control, "aria-invalid", "true");
      ava.text(made.sign, "✗");
      ava.redraw(made.meta, message.what, (what) => [what]);
      made.meta.title = message.text;
    }
  });

  channel.on("help", (message) => {
    ava.redraw(help, message, () => [
      h("p", {}, h("code", { text: message.path }), ` ${message.meaning}`),
      h("dl", {}, ...message.facts.flatMap(([label, text]) =>
        [h("dt", { text: label }), h("dd", { text })])),
      ...message.findings.map((text) => h("p", { text })),
      h("p", { class: "ava-dim", text: message.origins.length
        ? `set by ${message.origins.map(([value, place]) => `${place}: ${value}`).join("; before that ")}`
        : "no layer sets it: the default holds" }),
    ]);
  });

  return h("div", { role: "group", class: "ava-card ava-form", "aria-label": "Config" },
    h("div", { class: "ava-bar" },
      ava.labelled("Search", search, "ava-grow"),
      h("label", { class: "ava-check" }, everything, "All keys"), count),
    list, help);
};
