// What follows from the plan: memory by category, the batch equation, speed and money, findings.
ava.meter = (channel) => {
  const { h } = ava;
  const verdict = h("div", { class: "ava-verdict", "data-ava": "verdict" });
  const bar = h("div", {
    class: "ava-meter", role: "meter", "data-ava": "meter", "aria-label": "Memory of one device",
    "aria-valuemin": "0", "aria-valuenow": "0", "aria-valuemax": "1",
  });
  const legend = h("ul", { class: "ava-legend", "aria-label": "Memory by category" });
  const peak = h("div", { class: "ava-dim ava-peak" });
  channel.on("plan", ({ meter }) => {
    const words = !meter.known ? meter.words
      : `${meter.verdict}${meter.lacking ? `, ${meter.lacking}` : ""}`;
    const sign = !meter.known ? "?" : { true: "✓", false: "✗", null: "?" }[meter.fits];
    ava.redraw(verdict, [meter.known, words, meter.needed, meter.card, meter.delta, meter.device], () => [
      h("span", { class: "ava-mark", "aria-hidden": "true", text: sign }),
      h("strong", { text: words }),
      h("span", { class: "ava-of", text: meter.known
        ? `${meter.needed}${meter.card ? ` of ${meter.card}` : ""}` : "" }),
      h("span", { class: "ava-dim", text: meter.delta || "" }),
    ]);
    const fits = !meter.known || meter.fits === null ? "unknown" : meter.fits ? "yes" : "no";
    ava.attr(verdict, "data-fits", fits);
    ava.attr(bar, "data-fits", fits);
    ava.attr(bar, "aria-valuenow", meter.known ? meter.value : 0);
    ava.attr(bar, "aria-valuemax", meter.known ? meter.max : 1);
    ava.attr(bar, "aria-valuetext", meter.known ? meter.spoken : meter.words);
    ava.redraw(bar, [meter.parts || [], meter.border, fits], ([parts]) => {
      const made = parts.map((part) => h("span", {
        class: "ava-part", "data-category": part.name, title: `${part.name} ${part.size}`,
        style: `width:${(part.share * 100).toFixed(3)}%`,
      }));
      if (fits === "no") made.push(h("span", { class: "ava-over", style: `left:${meter.border * 100}%` }));
      if (meter.card) made.push(h("span", { class: "ava-border", style: `left:${meter.border * 100}%` }));
      return made;
    });
    ava.redraw(legend, meter.parts || [], (parts) => parts.map((part) => h("li", {},
      h("span", { class: "ava-swatch", "data-category": part.name }), h("span", { text: part.name }),
      h("b", { text: part.size, title: `${Math.round(part.of * 100)}%` }))));
    ava.text(peak, meter.known ? `peak: ${meter.peak}; largest: ${meter.largest}` : "");
    peak.title = peak.textContent;
  });
  return h("div", { class: "ava-memory" }, verdict, bar, legend, peak);
};

// Plans that fit lie over the findings until one is taken, or the list is left.
ava.offers = (channel) => {
  const { h } = ava;
  const list = h("ul", { class: "ava-findings" });
  const title = h("h4", { text: "Plans that fit, the fastest first" });
  title.id = ava.id("offers");
  const box = h("div", { class: "ava-offers", role: "dialog", "aria-labelledby": title.id, "data-ava": "offers", hidden: true });
  let asker = null;
  const close = () => { box.hidden = true; list.replaceChildren(); asker?.focus(); };
  box.append(h("div", { class: "ava-title-row" }, title,
    ava.button("no", "Leave it", close, { class: "ava-quiet" })), list);
  channel.on("offers", ({ offers }) => {
    list.replaceChildren(...offers.map((each, number) => h("li", { "data-ava": "offer" },
      h("span", { class: "ava-mark", "aria-hidden": "true", text: each.fits ? "✓" : "?" }),
      h("span", { class: "ava-fixes" },
        ava.button("use", each.words, () => { channel.send("use", { number }); close(); }, { class: "ava-quiet" }),
        h("span", { class: "ava-dim", text: each.notes })))));
    box.hidden = false;
    list.querySelector("button")?.focus();
  });
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  const ask = ava.button("fit", "Make it fit", () => channel.send("fit"), { class: "ava-quiet", "aria-haspopup": "dialog" });
  asker = ask;
  return { ask, box };
};

ava.estimate = (channel) => {
  const { h } = ava;
  const offers = ava.offers(channel);
  const equation = h("div", { class: "ava-equation", "data-ava": "equation" });
  const keep = ava.button("keep", "Keep the global batch", () => channel.send("keep"),
    { class: "ava-quiet" });
  const figures = h("table", { class: "ava-figures", "data-ava": "figures" });
  const term = ([number, word]) => h("span", { class: "ava-term" },
    h("b", { text: number }), h("small", { text: word }));
  const op = (text) => h("span", { class: "ava-op", text });
  channel.on("plan", (message) => {
    ava.redraw(equation, message.equation, ({ terms, result }) => !terms.length ? [] : [
      ...terms.flatMap((each, place) => (place ? [op("×"), term(each)] : [term(each)])),
      op("="), ...result.flatMap((each, place) => (place ? [h("span", { class: "ava-nowrap" }, op("→"), term(each))] : [term(each)])),
    ]);
    equation.setAttribute("aria-label", message.equation.words || "no batch");
    const kept = message.equation.kept;
    ava.enable(keep, Boolean(kept), kept ? `back to ${kept} sequences a step` : "the batch is as it was");
    ava.redraw(figures, message.figures, (rows) => [
      h("caption", { class: "ava-hidden", text: "Speed, time and cost" }),
      h("tbody", {}, ...rows.map((row) => h("tr", {},
        h("th", { scope: "row", text: row.label }),
        h("td", { class: "ava-num", text: row.value }),
        h("td", { class: "ava-dim", title: row.note, text: row.delta || row.note })))),
    ]);
  });
  return h("div", { role: "group", class: "ava-card ava-estimate", "aria-label": "Estimate" },
    ava.meter(channel),
    h("div", { class: "ava-title-row" }, h("h4", { text: "One step" }),
      h("span", { class: "ava-acts" }, keep, offers.ask)), equation,
    h("h4", { text: "Speed and cost" }), figures, offers.box);
};

ava.findings = (channel) => {
  const { h } = ava;
  const list = h("ul", { class: "ava-findings", "data-ava": "findings", tabindex: "0", "aria-label": "Findings" });
  const title = h("h4", { text: "Findings" });
  channel.on("plan", ({ findings }) => {
    ava.text(title, findings.length ? `Findings (${findings.length})` : "Findings");
    ava.redraw(list, findings, () => findings.length
      ? findings.map((each) => h("li", { "data-ava": "finding", "data-severity": each.severity },
        h("span", { class: "ava-mark", "aria-hidden": "true", text: each.sign }),
        h("span", {}, h("span", { class: "ava-hidden", text: `${each.severity}: ` }), each.message,
          each.where ? h("span", { class: "ava-dim", text: `  ${each.where}` }) : null,
          h("span", { class: "ava-fixes" }, ...each.fixes.map((fix) => ava.button("fix", fix.title,
            () => { channel.edited = channel.seq + 1; channel.send("fix", { name: fix.name }); list.focus(); },
            { class: "ava-quiet" }))))))
      : [h("li", { "data-severity": "none" }, h("span", { class: "ava-mark", "aria-hidden": "true", text: "✓" }),
        h("span", { text: "nothing to say" }))]);
  });
  return h("div", { class: "ava-found" }, title, list);
};

ava.launch = (channel) => {
  const { h } = ava;
  const name = h("input", { type: "text", placeholder: "a name is made", autocomplete: "off", spellcheck: "false", "data-ava": "name" });
  const why = h("div", { class: "ava-why", "data-ava": "why" });
  let ready = false;
  const go = () => { if (ready) { channel.send("launch", { name: name.value }); name.value = ""; } };
  const button = ava.button("launch", "Launch", go, { class: "ava-main" });
  name.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
  let starting = false;
  const draw = (words) => {
    ava.enable(button, ready && !starting, words);
    ava.text(why, starting ? "Starting a run …" : words);
  };
  let said = "";
  channel.on("plan", (message) => { ready = message.ready; said = message.why; draw(said); });
  channel.on("starting", (message) => { starting = message.on; draw(said); });
  channel.on("runs", (message) => { starting = message.starting; draw(said); });
  why.id = ava.id("why");
  button.setAttribute("aria-describedby", why.id);
  return h("div", { class: "ava-launch" },
    h("div", { class: "ava-bar" }, button, ava.labelled("Name of the run", name, "ava-grow")), why);
};
