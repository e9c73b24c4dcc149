"use strict";
// Tells the values under the pointer. A figure's numbers stand beside it as JSON; an SVG knows,
// in data-boxes, where on it the values of each panel lie.
(() => {
  const tip = document.getElementById("tip");
  const near = 24; // pixels that a dot may be away

  const show = (value) =>
    value === null || value === undefined ? "none"
      : Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(5)));
  // The place of a value between the ends of its axis, 0 … 1, and back.
  const place = (axis, value) => {
    const [low, high] = axis.range;
    return axis.scale === "log" ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  };
  const valueAt = (axis, part) => {
    const [low, high] = axis.range;
    return axis.scale === "log" ? low * (high / low) ** part : low + part * (high - low);
  };
  const nearest = (distances) => {
    let best = -1;
    distances.forEach((distance, k) => {
      if (distance < (best < 0 ? Infinity : distances[best])) best = k;
    });
    return best;
  };
  const named = (axis, value) => (Array.isArray(axis.scale) ? axis.scale[Math.round(value)] : show(value));
  // The bin that holds a value, or -1; the last bin holds its upper end.
  const bin = (edges, value) => {
    if (value === edges[edges.length - 1]) return edges.length - 2;
    return edges.findIndex((edge, k) => edge <= value && value < edges[k + 1]);
  };

  // What each shape has to say of a point: the heading, and the words after the series' name.
  const shapes = {
    dots(s, panel, at) {
      const far = s.x.map((x, k) => Math.hypot((place(panel.x, x) - at.x) * at.w, (place(panel.y, s.y[k]) - at.y) * at.h));
      const k = nearest(far);
      return k >= 0 && far[k] <= near && { far: far[k], head: `${panel.x.label}: ${show(s.x[k])}`, text: `${panel.y.label}: ${show(s.y[k])}` };
    },
    line(s, panel, at) {
      const k = nearest(s.x.map((x, i) => (s.y[i] === null ? NaN : Math.abs(place(panel.x, x) - at.x))));
      if (k < 0) return false;
      const band = s.band[0].length ? ` (${show(s.band[0][k])} … ${show(s.band[1][k])})` : "";
      return { head: `${panel.x.label}: ${show(s.x[k])}`, text: show(s.y[k]) + band };
    },
    bins(s, panel, at) {
      const k = bin(s.edges, valueAt(panel.x, at.x));
      return k >= 0 && { head: `${panel.x.label}: ${show(s.edges[k])} … ${show(s.edges[k + 1])}`, text: show(s.values[k]) };
    },
    bars(s, panel, at) {
      const x = Math.round(valueAt(panel.x, at.x));
      const k = s.at.indexOf(x);
      return k >= 0 && { head: named(panel.x, x), text: show(s.high[k] - s.low[k]) };
    },
    spreads(s, panel, at) {
      const k = nearest(s.at.map((x) => Math.abs(place(panel.x, x) - at.x)));
      return k >= 0 && { head: named(panel.x, s.at[k]), text: `${show(s.middle[k])} (${show(s.low[k])} … ${show(s.high[k])})` };
    },
    cells(s, panel, at) {
      const x = bin(s.x_edges, valueAt(panel.x, at.x));
      const y = bin(s.y_edges, valueAt(panel.y, at.y));
      if (x < 0 || y < 0) return false;
      const span = (edges, k) => (edges[k + 1] - edges[k] === 1 ? show(edges[k]) : `${show(edges[k])} … ${show(edges[k + 1])}`);
      return {
        head: `${panel.x.label}: ${span(s.x_edges, x)}\n${panel.y.label}: ${span(s.y_edges, y)}`,
        text: `${s.label}: ${show(s.values[y * (s.x_edges.length - 1) + x])}`,
      };
    },
  };

  // The lines of the tip: a heading, then a series each; of dots the nearest only, and where
  // there are cells, what the cell says.
  const lines = (panel, at) => {
    let found = panel.series.map((s) => ({ s, told: shapes[s.shape](s, panel, at) })).filter(({ told }) => told);
    const cells = found.filter(({ s }) => s.shape === "cells");
    const dots = found.filter(({ told }) => told.far !== undefined).sort((a, b) => a.told.far - b.told.far);
    if (cells.length) found = cells;
    else if (dots.length) found = [dots[0]];
    let head = "";
    return found.map(({ s, told }) => {
      const heading = told.head === head ? "" : `${told.head}\n`;
      head = told.head;
      return heading + (s.name ? `${s.name}: ` : "") + told.text;
    }).join("\n");
  };

  const hide = () => { tip.hidden = true; };
  const move = (svg, boxes, panels, event) => {
    const frame = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / frame.width;
    const x = (event.clientX - frame.left) * scale, y = (event.clientY - frame.top) * scale;
    const k = boxes.findIndex(([left, top, w, h]) => left <= x && x <= left + w && top <= y && y <= top + h);
    if (k < 0) return hide();
    const [left, top, w, h] = boxes[k];
    const text = lines(panels[k], { x: (x - left) / w, y: (top + h - y) / h, w: w / scale, h: h / scale });
    if (!text) return hide();
    tip.textContent = text;
    tip.hidden = false;
    const room = document.documentElement;
    const { width, height } = tip.getBoundingClientRect();
    const beyond = event.clientX + 14 + width > room.clientWidth;
    tip.style.left = `${Math.max(4, beyond ? event.clientX - 14 - width : event.clientX + 14)}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, room.clientHeight - height - 4))}px`;
  };

  for (const figure of document.querySelectorAll("figure.figure")) {
    const { panels } = JSON.parse(figure.querySelector("script.data").textContent);
    for (const svg of figure.querySelectorAll("svg")) {
      const boxes = JSON.parse(svg.dataset.boxes);
      const told = (event) => move(svg, boxes, panels, event);
      svg.addEventListener("pointermove", told);
      svg.addEventListener("pointerdown", told);
      // A finger is lifted to see what it pointed at.
      svg.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") hide(); });
    }
  }
  document.addEventListener("pointerdown", (event) => { if (!event.target.closest("figure.figure svg")) hide(); });
  document.addEventListener("scroll", hide, { passive: true });
  // All that is folded is printed, and folded again.
  const unfolded = [];
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not([open])")) { part.open = true; unfolded.push(part); }
  });
  addEventListener("afterprint", () => { for (const part of unfolded.splice(0)) part.open = false; });
})();
