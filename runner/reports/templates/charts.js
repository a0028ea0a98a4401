/* One time for all charts: a crosshair with the values of every line, and a zoom. Without it the
   drawings are complete; it moves what they hold (groups over-time), and draws anew only what
   depends on the part shown: ticks, numbers of faults, names of bounds. The values are those of
   #chart-data, which are those of report.json; they are written as format.py writes them. */
(() => {
  "use strict";
  const source = document.getElementById("chart-data");
  if (source === null) return;
  const data = JSON.parse(source.textContent);
  const length = data.duration_s;
  const shortest = Math.min(length, 4 * data.step_s);
  const NOTHING = "–";
  const state = { from: 0, to: length, at: null, active: null, drag: null };
  const panes = [];

  // -- words ---------------------------------------------------------------------------------------

  function fixed(value, places) {
    // Halves to even, as Python does.
    const scaled = value * 10 ** places;
    if (scaled % 1 !== 0.5) return value.toFixed(places);
    const down = Math.floor(scaled);
    return ((down % 2 ? down + 1 : down) / 10 ** places).toFixed(places);
  }
  const grouped = (text) => text.replace(/\B(?=(\d{3})+$)/g, ",");

  function digits(value) {
    if (value === 0) return "0";
    if (value >= 100) return grouped(fixed(value, 0));
    const text = fixed(value, value >= 10 ? 1 : value >= 1 ? 2 : 3);
    if (Number(text) !== 0) return text.replace(/\.?0+$/, "");
    return value < 1e-4 ? "<0.0001" : String(Number(value.toPrecision(1)));
  }

  function span(value) {
    const total = Math.round(value);
    const [h, m, s] = [Math.floor(total / 3600), Math.floor((total % 3600) / 60), total % 60];
    return [h && `${h}h`, m && `${m}m`, s && `${s}s`].filter(Boolean).join(" ") || "0s";
  }

  function seconds(value) {
    if (value === 0) return "0\u00a0s";
    if (value < 1e-3) return `${digits(value * 1e6)}\u00a0µs`;
    if (value < 1) return `${digits(value * 1e3)}\u00a0ms`;
    return value < 120 ? `${digits(value)}\u00a0s` : span(value);
  }

  function quantity(value, unit) {
    if (value === null || value === undefined) return NOTHING;
    if (value < 0) return `\u2212${quantity(-value, unit)}`;
    if (unit === "s") return seconds(value);
    if (unit === "ratio") return `${digits(value * 100)}\u00a0%`;
    if (unit === "per_s") return `${digits(value)}/s`;
    return unit === "count" ? grouped(fixed(value, 0)) : digits(value);
  }

  function clock(offset) {
    const [h, rest] = [Math.floor(offset / 3600), Math.floor(offset % 3600)];
    const text = [Math.floor(rest / 60), rest % 60].map((n) => String(n).padStart(2, "0")).join(":");
    return h ? `${h}:${text}` : text;
  }

  const moment = (offset) => new Date((data.started_wall_s + offset) * 1000);
  const utc = (offset) => moment(offset).toISOString().slice(0, 19).replace("T", " ") + " UTC";

  // -- time ----------------------------------------------------------------------------------------

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const isWhole = () => state.from <= 0 && state.to >= length;
  const indexAt = (t) => clamp(Math.floor(t / data.step_s), 0, data.at_s.length - 1);
  const holds = (one, t) => one.start_s <= t && t < one.end_s;

  function where(index) {
    const t = data.at_s[index];
    const phase = data.phases.find((one) => holds(one, t));
    const [start, end] = [index * data.step_s, (index + 1) * data.step_s];
    const faults = data.faults
      .filter((one) => one.begun && one.start_s < end && one.end_s > start)
      .map((one) => `${one.number}: ${one.id}`);
    const known = data.started_wall_s !== null;
    return {
      clock: clock(t),
      utc: known ? utc(t) : "",
      local: known ? moment(t).toLocaleTimeString() : "",
      phase: phase ? phase.label : "",
      faults: faults.length ? `fault ${faults.join(", ")}` : "no fault",
    };
  }

  function zoom(from, to) {
    const long = clamp(to - from, shortest, length);
    state.from = clamp(from - (long - (to - from)) / 2, 0, length - long);
    state.to = state.from + long;
    if (state.at !== null) state.at = clamp(state.at, state.from, state.to);
    choice.value = isWhole() ? "whole" : "part";
    for (const pane of panes) pane.zoom();
    ask();
  }
  const whole = () => zoom(0, length);

  function scale(factor) {
    const middle = state.at ?? (state.from + state.to) / 2;
    zoom(middle - (middle - state.from) * factor, middle + (state.to - middle) * factor);
  }

  function zoomTo(one, around) {
    const more = (one.end_s - one.start_s) * around;
    zoom(Math.max(0, one.start_s - more), Math.min(length, one.end_s + more));
  }

  function move(by) {
    state.at = clamp((state.at ?? state.from) + by, 0, length - data.step_s / 2);
    const shown = state.to - state.from;
    if (state.at < state.from) zoom(state.at, state.at + shown);
    else if (state.at > state.to) zoom(state.at - shown, state.at);
    ask();
  }

  function ticks(from, to) {
    const steps = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600];
    const step = steps.find((one) => (to - from) / one <= 6) ?? 43200;
    const found = [];
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) found.push(t);
    return found;
  }

  // -- drawing -------------------------------------------------------------------------------------

  function draw(name, attributes, text) {
    const one = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
    if (text !== undefined) one.textContent = text;
    return one;
  }

  function slider(pane, label) {
    const one = document.createElement("div");
    one.className = "cursor";
    one.tabIndex = -1;
    const attributes = { role: "slider", "aria-label": label, "aria-valuemin": 0 };
    attributes["aria-valuemax"] = length;
    attributes["aria-valuenow"] = 0;
    attributes["aria-valuetext"] = "no time chosen";
    attributes["aria-describedby"] = "charts-keys";
    for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
    pane.cursor = one;
    return one;
  }

  function chartPane(svg) {
    const [left, right, top, bottom, high] = svg.dataset.axes.split(" ").map(Number);
    const id = svg.dataset.chart;
    const known = data.charts[id] ?? { unit: "", lines: [], bounds: [] };
    const { width } = svg.viewBox.baseVal;
    const x = (t) => left + ((t - state.from) / (state.to - state.from)) * (right - left);
    const moving = [...svg.querySelectorAll(".over-time")];
    const windows = moving.map((group) => {
      const around = draw("g", {});
      group.replaceWith(around);
      around.append(group);
      return around;
    });
    // Marks of single values keep their shape; the shapes of areas stand at x="0" and do not.
    const dots = [...svg.querySelectorAll(".over-time use")].filter((one) => +one.getAttribute("x"));
    const clip = draw("clipPath", { id: `${id}-window` });
    clip.append(draw("rect", { x: left, y: top - 4, width: right - left, height: bottom - top + 6 }));
    const anew = draw("g", {});
    const brush = draw("rect", { class: "brush", y: top, height: bottom - top });
    const line = draw("path", { class: "crosshair" });
    const highest = known.stacked ? 0 : high;
    const still = { r: 2.6, class: "point", visibility: "hidden" };
    const points = known.lines.map(() => draw("circle", still));
    const foot = draw("g", { class: "foot", visibility: "hidden" });
    const footText = draw("text", { y: bottom + 13 });
    foot.append(draw("rect", { x: -26, y: bottom + 4, width: 52, height: 13 }), footText);
    const reading = draw("g", { class: "readout" });
    svg.append(clip, anew, brush, line, ...points, reading, foot);
    const colours = known.lines.map((_, n) => {
      const found = [...svg.querySelectorAll(`.line-${n} :is(path, use)`)].map((one) => one.style);
      const style = found.find((one) => one.stroke || one.fill);
      return style ? style.stroke || style.fill : "var(--text)";
    });
    points.forEach((one, n) => (one.style.fill = colours[n]));
    const rows = known.lines.length > 3 ? 2 : 1;
    const perRow = Math.ceil(known.lines.length / rows);
    const values = known.lines.map(([name], n) => {
      const row = Math.floor(n / perRow);
      const wide = (width - 8) / Math.max(perRow, 3);
      const at = { x: 4 + (n % perRow) * wide, y: 9 + 10 * row };
      const text = draw("text", at);
      const swatch = draw("tspan", { style: `fill:${colours[n]}` }, "■ ");
      const value = draw("tspan", { class: "value" });
      text.append(swatch, draw("tspan", {}, `${name} `), value);
      reading.append(text);
      return value;
    });
    const stage = document.createElement("div");
    stage.className = "stage";
    svg.replaceWith(stage);
    const pane = { known };
    stage.append(svg, slider(pane, `Time in ${svg.querySelector("title").textContent}`));

    pane.timeAt = (event) => {
      const box = pane.cursor.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * width;
      const t = state.from + ((at - left) / (right - left)) * (state.to - state.from);
      return clamp(t, state.from, state.to);
    };
    pane.zoom = () => {
      const k = length / (state.to - state.from);
      const shift = left - k * (left + (state.from / length) * (right - left));
      svg.classList.toggle("zoomed", !isWhole());
      for (const one of windows) {
        if (isWhole()) one.removeAttribute("clip-path");
        else one.setAttribute("clip-path", `url(#${id}-window)`);
      }
      for (const group of moving) {
        group.setAttribute("transform", `matrix(${k} 0 0 1 ${shift} 0)`);
        for (const dot of dots.filter((one) => group.contains(one))) {
          const at = Number(dot.getAttribute("x"));
          dot.setAttribute("transform", `translate(${at} 0) scale(${1 / k} 1) translate(${-at} 0)`);
        }
      }
      anew.replaceChildren(...(isWhole() ? [] : [...tickMarks(), ...faultMarks(), ...boundNames()]));
    };

    function* tickMarks() {
      for (const t of ticks(state.from, state.to)) {
        yield draw("path", { class: "tick", d: `M${x(t)} ${bottom}v3` });
        const anchor = x(t) > right - 6 ? "end" : "middle";
        const at = { class: "tick", x: x(t), y: bottom + 13, "text-anchor": anchor };
        yield draw("text", at, clock(t));
      }
    }
    function* faultMarks() {
      let free = 0;
      for (const one of data.faults) {
        if (!one.begun || one.end_s < state.from || one.start_s > state.to) continue;
        const at = { class: "number", x: x(Math.max(one.start_s, state.from)), y: top - 4 };
        if (at.x < free) continue;
        free = at.x + 14;
        yield draw("text", at, one.number);
      }
    }
    function* boundNames() {
      const used = { [left]: [], [right]: [] };
      for (const group of svg.querySelectorAll(".bound-name")) {
        const text = group.querySelector("text").cloneNode(true);
        const shown = known.bounds
          .filter((one) => text.textContent.startsWith(one.label))
          .some((one) => one.windows.some(([from, to]) => from < state.to && to > state.from));
        if (!shown) continue;
        const y = Number(text.getAttribute("y"));
        const side = [right, left].find((one) => used[one].every((other) => Math.abs(other - y) > 9));
        if (side === undefined) continue;
        used[side].push(y);
        text.setAttribute("x", side);
        text.style.textAnchor = side === right ? "end" : "start";
        yield text;
      }
    }

    pane.draw = (index) => {
      const reads = index !== null;
      svg.classList.toggle("reads", reads && values.length > 0);
      line.setAttribute("d", "");
      foot.setAttribute("visibility", "hidden");
      brush.setAttribute("width", 0);
      for (const one of points) one.setAttribute("visibility", "hidden");
      if (state.drag) {
        const [from, to] = [state.drag.from, state.drag.to].sort((a, b) => a - b).map(x);
        brush.setAttribute("x", from);
        brush.setAttribute("width", Math.max(0, to - from));
      }
      if (!reads) return;
      const at = clamp(x(data.at_s[index]), left, right);
      line.setAttribute("d", `M${at} ${top}V${bottom}`);
      points.forEach((one, n) => {
        const value = known.lines[n][1][index];
        if (value === null || !(highest > 0)) return;
        one.setAttribute("visibility", "visible");
        one.setAttribute("cx", at);
        one.setAttribute("cy", bottom - (value / highest) * (bottom - top));
      });
      values.forEach((one, n) => (one.textContent = quantity(known.lines[n][1][index], known.unit)));
      if (state.active !== pane) return;
      foot.setAttribute("visibility", "visible");
      foot.setAttribute("transform", `translate(${clamp(at, left + 10, right - 10)} 0)`);
      footText.textContent = clock(data.at_s[index]);
    };
    pane.words = (index) =>
      known.lines.map(([name, line]) => `${name} ${quantity(line[index], known.unit)}`).join(", ");
    return pane;
  }

  function stripPane(strip) {
    const pane = { zoom() {} };
    const part = (name) => {
      const one = document.createElement("div");
      one.className = name;
      one.hidden = true;
      strip.append(one);
      return one;
    };
    const place = (one, from, to) => {
      one.style.left = `${(100 * from) / length}%`;
      one.style.width = `${(100 * (to - from)) / length}%`;
      one.hidden = false;
    };
    const [view, brush, line] = ["view", "brush", "crosshair"].map(part);
    strip.append(slider(pane, "Time on the timeline"));
    pane.timeAt = (event) => {
      const box = pane.cursor.getBoundingClientRect();
      return clamp(((event.clientX - box.left) / box.width) * length, 0, length);
    };
    pane.draw = (index) => {
      for (const one of [view, brush, line]) one.hidden = true;
      if (!isWhole()) place(view, state.from, state.to);
      if (state.drag) place(brush, ...[state.drag.from, state.drag.to].sort((a, b) => a - b));
      if (index !== null) place(line, data.at_s[index], data.at_s[index]);
    };
    pane.words = () => "";
    return pane;
  }

  // -- the bar: what is read, and which part is shown ----------------------------------------------

  const bar = document.getElementById("charts-bar");
  const choice = document.getElementById("charts-zoom");
  const said = Object.fromEntries(
    [...bar.querySelectorAll("[data-says]")].map((one) => [one.dataset.says, one]),
  );
  const acts = { in: () => scale(0.5), out: () => scale(2), whole };

  for (const button of bar.querySelectorAll("button[data-zoom]")) {
    button.addEventListener("click", acts[button.dataset.zoom]);
  }
  choice.addEventListener("change", () => {
    const { value } = choice;
    const [kind, number] = value.split(":");
    if (kind === "fault") zoomTo(data.faults[Number(number)], 0.5);
    else if (kind === "phase") zoomTo(data.phases[Number(number)], 0);
    else whole();
    choice.value = value;
  });
  for (const button of document.querySelectorAll("button[data-zoom-fault]")) {
    const fault = data.faults.find((one) => String(one.number) === button.dataset.zoomFault);
    button.hidden = !fault?.begun;
    button.addEventListener("click", () => {
      zoomTo(fault, 0.5);
      choice.value = `fault:${data.faults.indexOf(fault)}`;
      document.getElementById("signals").scrollIntoView();
      panes.find((pane) => pane.known)?.cursor.focus({ preventScroll: true });
    });
  }

  // -- hands ---------------------------------------------------------------------------------------

  let asked = false;
  function ask() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      const index = state.at === null ? null : indexAt(state.at);
      for (const pane of panes) pane.draw(index);
      bar.classList.toggle("reads", index !== null);
      if (index === null) return;
      const now = where(index);
      for (const [name, one] of Object.entries(said)) one.textContent = now[name];
      bar.classList.toggle("faulty", now.faults !== "no fault");
      said.utc.title = now.local && `${now.local}, where you are`;
      if (state.active === null) return;
      const { cursor } = state.active;
      const words = [now.clock, now.utc, now.phase, now.faults, state.active.words(index)];
      cursor.setAttribute("aria-valuenow", data.at_s[index]);
      cursor.setAttribute("aria-valuetext", words.filter(Boolean).join(", "));
    });
  }

  function focusOn(pane) {
    for (const one of panes) one.cursor.tabIndex = one === pane ? 0 : -1;
    state.active = pane;
  }

  function next(pane, by) {
    const other = panes[panes.indexOf(pane) + by];
    if (other) other.cursor.focus();
  }

  const step = () => Math.max(data.step_s, (state.to - state.from) / 250);
  const keys = {
    ArrowLeft: (event) => move(-step() * (event.shiftKey ? 10 : 1)),
    ArrowRight: (event) => move(step() * (event.shiftKey ? 10 : 1)),
    PageDown: () => move(-(state.to - state.from) / 10),
    PageUp: () => move((state.to - state.from) / 10),
    Home: () => move(-length),
    End: () => move(length),
    ArrowUp: (_, pane) => next(pane, -1),
    ArrowDown: (_, pane) => next(pane, 1),
    "+": acts.in,
    "=": acts.in,
    "-": acts.out,
    0: whole,
    Escape: whole,
  };

  function listen(pane) {
    const { cursor } = pane;
    let down = 0;
    cursor.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act(event, pane);
    });
    cursor.addEventListener("focus", () => {
      focusOn(pane);
      state.at ??= (state.from + state.to) / 2;
      ask();
    });
    cursor.addEventListener("blur", () => {
      state.at = null;
      ask();
    });
    cursor.addEventListener("pointermove", (event) => {
      state.at = pane.timeAt(event);
      state.active = pane;
      if (state.drag) state.drag.to = state.at;
      ask();
    });
    cursor.addEventListener("pointerleave", () => {
      if (state.drag || document.activeElement?.className === "cursor") return;
      state.at = null;
      ask();
    });
    cursor.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      cursor.setPointerCapture(event.pointerId);
      const at = pane.timeAt(event);
      down = event.clientX;
      state.drag = { from: at, to: at };
    });
    cursor.addEventListener("pointerup", (event) => {
      const { drag } = state;
      state.drag = null;
      if (drag && Math.abs(event.clientX - down) > 6) {
        zoom(...[drag.from, drag.to].sort((a, b) => a - b));
      }
      ask();
    });
    cursor.addEventListener("pointercancel", () => {
      state.drag = null;
      ask();
    });
    cursor.addEventListener("dblclick", whole);
  }

  for (const one of document.querySelectorAll(".strip, svg.plot")) {
    if (one.matches(".strip")) panes.push(stripPane(one));
    else if (one.querySelector(".over-time")) panes.push(chartPane(one));
  }
  panes.forEach(listen);
  if (panes.length) focusOn(panes[0]);
  state.active = null;

  // The bar stands at the foot of the window while a chart is in sight.
  const inSight = new Set();
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) inSight.add(target);
      else inSight.delete(target);
    }
    bar.classList.toggle("shown", inSight.size > 0 || bar.contains(document.activeElement));
  });
  for (const pane of panes) watch.observe(pane.cursor);

  // A printed page shows the whole run.
  let before = null;
  addEventListener("beforeprint", () => {
    before = [state.from, state.to];
    state.at = null;
    whole();
    for (const pane of panes) pane.draw(null);
  });
  addEventListener("afterprint", () => before && zoom(...before));

  // Offsets in tables: the moment in UTC and in the reader's own time, on hover.
  if (data.started_wall_s !== null) {
    for (const cell of document.querySelectorAll(".offsets")) {
      const found = cell.textContent.match(/\d+(:\d\d)+/g) ?? [];
      const at = found.map((one) => one.split(":").reduce((sum, part) => 60 * sum + Number(part), 0));
      const local = at.map((t) => moment(t).toLocaleTimeString());
      if (at.length) cell.title = `${at.map(utc).join(" to ")}; ${local.join(" to ")} where you are`;
    }
  }
})();
