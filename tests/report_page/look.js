// What the tests ask a page: where things are and how they look. Rectangles are [x, y, width,
// height] in CSS pixels from the page's top left corner.

const rectangle = (element) => {
  const r = element.getBoundingClientRect();
  return [r.x + scrollX, r.y + scrollY, r.width, r.height];
};

const whole = () => {
  const root = document.documentElement;
  return [root.scrollWidth, root.scrollHeight];
};

const figures = () => [...document.querySelectorAll("figure.figure")].map((f) => f.id);

const dataOf = (name) =>
  JSON.parse(document.getElementById(name).querySelector("script.data").textContent);

// The drawings of a figure that can be seen: one of the wide and the narrow.
const drawings = (name) =>
  [...document.getElementById(name).querySelectorAll("svg.wide, svg.narrow")].filter(
    (svg) => svg.getBoundingClientRect().width > 0
  );

const drawing = (name) => drawings(name)[0];

// The plot areas of a drawing, in the order of its panels.
const boxes = (name) => {
  const svg = drawing(name);
  const matrix = svg.getScreenCTM();
  return JSON.parse(svg.dataset.boxes).map(([x, y, w, h]) => {
    const a = new DOMPoint(x, y).matrixTransform(matrix);
    const b = new DOMPoint(x + w, y + h).matrixTransform(matrix);
    return [a.x + scrollX, a.y + scrollY, b.x - a.x, b.y - a.y];
  });
};

// How large each text of a drawing stands on the screen, and where.
const texts = (name) => {
  const svg = drawing(name);
  return [...svg.querySelectorAll("text")]
    .filter((text) => text.textContent.trim() !== "")
    .map((text) => {
      const m = text.getScreenCTM();
      const style = getComputedStyle(text);
      return {
        text: text.textContent.trim(),
        pixels: parseFloat(style.fontSize) * Math.hypot(m.a, m.b),
        colour: style.fill,
        at: rectangle(text),
      };
    });
};

// Whether an element lies within what can be seen of the part about it that scrolls, if any.
const uncovered = (element) => {
  const part = element.closest(".scroll");
  const [left, , width] = rectangle(part || document.documentElement);
  const [x, , w] = rectangle(element);
  return left <= x && x + w <= left + width;
};

// How many pixels of parts that scroll are out of sight.
const covered = () =>
  [...document.querySelectorAll(".scroll")].map((part) => part.scrollWidth - part.clientWidth);

// The words outside of drawings that can be seen, with their colour.
const words = () =>
  [...document.querySelectorAll("h1, h2, h3, p, dt, dd, figcaption, summary, td, th, a, code")]
    .filter((e) => e.checkVisibility() && uncovered(e) && e.textContent.trim() !== "")
    .map((e) => ({
      text: e.textContent.trim().slice(0, 40),
      colour: getComputedStyle(e).color,
      at: rectangle(e),
    }));

const headline = () =>
  [...document.querySelectorAll("#headline > div")].map((div) => [
    div.dataset.key,
    div.dataset.value,
    div.querySelector("dt").textContent.trim(),
    div.querySelector("dd").textContent.trim(),
  ]);

const tip = () => {
  const tip = document.getElementById("tip");
  return tip.checkVisibility() ? { text: tip.innerText, at: rectangle(tip) } : null;
};

// Scrolls, and tells where to once all that listens has been told.
const scrolledTo = async (y) => {
  scrollTo(0, y);
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  return scrollY;
};

const unfold = (open) => document.querySelectorAll("details").forEach((d) => { d.open = open; });
