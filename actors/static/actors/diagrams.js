// The number of connections in each state of a diagram, asked for again while the page is looked at.

const EVERY = 2_000; // ms
const SVG = "http://www.w3.org/2000/svg";

const page = document.getElementById("diagram");
const state = page.querySelector(".panel-state");
const nodes = new Map([...page.querySelectorAll("svg [data-state]")].map((node) => [node.dataset.state, node]));
const rows = new Map([...page.querySelectorAll("[data-row]")].map((row) => [row.dataset.row, row]));

function part(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** The number stands on the upper right corner of the state's box. */
function mark(node, count) {
  node.classList.toggle("is-now", count > 0);
  node.querySelector(".now")?.remove();
  const box = node.querySelector("rect.box");
  if (!count || !box) return;
  const words = String(count);
  const width = 14 + 7 * words.length;
  const x = Number(box.getAttribute("x")) + Number(box.getAttribute("width")) - 3;
  const y = Number(box.getAttribute("y"));
  const now = part("g", { class: "now" });
  now.append(part("rect", { x: x - width / 2, y: y - 9, width, height: 18, rx: 9 }), part("text", { x, y: y + 4.5 }));
  now.lastChild.textContent = words;
  node.append(now);
}

function show({ states, total }) {
  let others = total;
  for (const [name, row] of rows) {
    if (name) {
      const count = states[name] ?? 0;
      others -= count;
      row.querySelector("[data-count]").textContent = count.toLocaleString("en");
      if (nodes.has(name)) mark(nodes.get(name), count);
    }
  }
  const rest = rows.get("");
  rest.hidden = others <= 0;
  rest.querySelector("[data-count]").textContent = others.toLocaleString("en");
  page.querySelector("[data-total]").textContent = total.toLocaleString("en");
}

function say(words, kind) {
  state.textContent = words;
  page.dataset.state = kind;
}

let asking = false;

async function renew() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch(page.dataset.now, { redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
    say("Live", "open");
  } catch {
    say("The numbers could not be renewed: they may be old.", "stale");
  } finally {
    asking = false;
  }
}

show(JSON.parse(document.getElementById("now").textContent));
say("Live", "open");
setInterval(renew, EVERY);
