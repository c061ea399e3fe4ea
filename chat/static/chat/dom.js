// The few words of DOM that every other module is written in.
// Text goes in as text: nothing here takes markup. The one place that does is rows.js, for the server's sanitised html.

/** An element. `attributes`: `on…` functions listen, `false` and `null` are left out, `true` is a bare attribute. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Makes `nodes` the children of `parent`, moving only what is out of place, so that focus and selection survive. */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let place = parent.firstChild;
  for (const node of nodes) {
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
}

/** `work`, however often it is asked for, once before the next frame. A hidden page has no frames: there, soon. */
export function onceAFrame(work) {
  let due = false;
  const run = () => {
    due = false;
    work();
  };
  return () => {
    if (due) return;
    due = true;
    if (document.hidden) setTimeout(run, 50);
    else requestAnimationFrame(run);
  };
}

/** Whether a key is the input method's own. Safari ends the composition before the Enter that ends it: 229 still tells. */
export const isComposing = (event) => event.isComposing || event.keyCode === 229;

export const plural = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
