// Elements, and the channel to the kernel. Everything here only draws and forwards: what a value
// means, whether a plan fits, what a button may do, is said by the kernel.
//
// Hooks that tests and people's own scripts may hold on to:
//   [data-ava=panel]        the root; data-kind (workbench, meter, form, curve, runs), data-live
//                           (yes, no, waiting), data-rev (revision drawn), data-running (yes, no)
//   [data-ava=recipe|hardware]          the pickers (select)
//   [data-ava=search|everything]        the form's search and "all keys"
//   [data-key="training.batch_size"]    a row of the form; its input is [data-input] inside it
//   [data-section="training"]           the heading of a section
//   [data-ava=help]         what is known about the key that has the focus
//   [data-ava=meter]        role=meter, with aria-valuenow and aria-valuemax in GiB, data-fits
//   [data-ava=verdict|equation|figures|findings|why|notice|status|progress|log]
//   [data-ava=offers] [data-ava=offer]  the list of plans that fit, while it is open
//   [data-ava=finding]      a finding, data-severity; its repairs are [data-act=fix]
//   [data-ava=chart]        role=img; data-n (samples of the front line, data-step its newest step),
//                           data-drawn (points in the picture), data-lags (JSON: seconds from the
//                           newest row's time to its paint, the last 200)
//   [data-ava=runs] tr[data-run=NAME]   the table of runs; data-state, data-shown
//   [data-ava=lost]         shown while no kernel answers; [data-ava=metric|smoothing|log-axis|name|file]
//   [data-act=…]            buttons: launch, stop, stop-now, resume, undo, redo, keep, save, fix,
//                           fit (find plans that fit), use (take one), reset, table, zoom-in,
//                           zoom-out, zoom-all, compare, follow, yes, no
const ava = {};

ava.h = (tag, props = {}, ...children) => {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, act] of Object.entries(value)) el.addEventListener(event, act);
    } else if (name === "text") el.textContent = value;
    else if (name === "value" || name === "checked" || name === "disabled") el[name] = value;
    else el.setAttribute(name, value === true ? "" : value);
  }
  el.append(...children.filter((child) => child !== null && child !== undefined));
  return el;
};

// Children are made anew only where their data has changed: the focus stays, nothing flickers.
ava.redraw = (el, data, make) => {
  const key = JSON.stringify(data);
  if (el.avaKey === key) return false;
  el.avaKey = key;
  el.replaceChildren(...make(data));
  return true;
};

ava.text = (el, words) => {
  if (el.textContent !== words) el.textContent = words;
};

ava.attr = (el, name, value) => {
  const text = String(value);
  if (el.getAttribute(name) !== text) el.setAttribute(name, text);
};

let avaCount = 0;
ava.id = (what) => `ava-${what}-${++avaCount}`;

ava.button = (act, words, press, props = {}) =>
  ava.h("button", { type: "button", "data-act": act, on: { click: press }, ...props }, words);

// A button that cannot be used now keeps the focus and says why; it is not `disabled`.
ava.enable = (button, on, why = "") => {
  ava.attr(button, "aria-disabled", on ? "false" : "true");
  if (button.title !== why) button.title = why;
};

ava.labelled = (words, input, extra = "") => {
  input.id ||= ava.id("input");
  return ava.h("div", { class: `ava-field ${extra}` },
    ava.h("label", { for: input.id, text: words }), input);
};

ava.debounce = (wait, act) => {
  let timer = 0;
  const run = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => { timer = 0; act(...given); }, wait);
  };
  run.now = (...given) => { clearTimeout(timer); timer = 0; act(...given); };
  run.waits = () => timer !== 0;
  return run;
};

// One view's channel: numbered messages out, messages by type in.
ava.channel = (model) => {
  const view = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
  const heard = new Map();
  const channel = {
    view,
    seq: 0,
    rev: 0,
    send(type, data = {}) {
      channel.seq += 1;
      try {
        model.send({ type, view, seq: channel.seq, ...data });
      } catch {
        channel.tell("lost", {});
      }
    },
    on(type, act) {
      heard.set(type, [...(heard.get(type) || []), act]);
    },
    tell(type, message, buffers = []) {
      for (const act of heard.get(type) || []) act(message, buffers);
    },
    take(message, buffers) {
      if (message.to !== undefined && message.to !== null && message.to !== view) return;
      channel.tell("any", message);
      if (message.type === "plan") {
        // Verdicts on older edits, and those that were overtaken, are not drawn.
        const seen = message.seqs?.[view];
        if (message.rev < channel.rev || (seen !== undefined && seen < (channel.edited || 0))) return;
        channel.rev = message.rev;
      }
      channel.tell(message.type, message, buffers);
    },
  };
  return channel;
};
