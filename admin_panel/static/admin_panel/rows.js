// Rows that are renewed where they stand: what differs is written, and nothing else is touched. So the focus, a selection,
// a click that is half done and whoever listens on a row outlast it.

/** What a row is known by from one time to the next: its own key, its checkbox, where it leads, or what it says first. */
function keyOf(row) {
  const box = row.querySelector(".action-select");
  const link = row.querySelector("a");
  return row.dataset.key ?? box?.value ?? link?.getAttribute("href") ?? row.querySelector("th, td")?.textContent;
}

function isSelected(row) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(row, true);
}

/** Makes a node say what `fresh` says, element by element. Fields belong to the user. */
export function write(node, fresh) {
  if (node.isEqualNode(fresh) || node.nodeName === "INPUT") return;
  const [parts, freshParts] = [[...node.childNodes], [...fresh.childNodes]];
  if (node.nodeName !== fresh.nodeName || parts.length !== freshParts.length) return node.replaceWith(fresh);
  if (node.nodeType === Node.TEXT_NODE) node.data = fresh.data;
  for (const { name, value } of fresh.attributes ?? []) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  parts.forEach((part, index) => write(part, freshParts[index]));
}

/** Puts rows in order with as few moves as it takes. */
function arrange(home, rows, first) {
  let next = first ?? null;
  for (const row of rows) {
    if (row === next) next = next.nextElementSibling;
    else home.insertBefore(row, next);
  }
}

/** Makes `rows`, which stand in `home`, those that `fresh` has. A row of which something is selected waits, to be copied. */
export function renew(home, rows, fresh) {
  const known = new Map(rows.map((row) => [keyOf(row), row]));
  const wanted = new Set();
  for (const row of fresh) {
    const kept = known.get(keyOf(row));
    if (kept && !isSelected(kept)) write(kept, row);
    wanted.add(kept ?? row);
  }
  const { activeElement } = document;
  const { anchorNode, anchorOffset, focusNode, focusOffset } = getSelection();
  for (const row of rows) if (!wanted.has(row)) row.remove();
  arrange(home, wanted, rows.find((row) => wanted.has(row)));
  // what was moved has lost both
  if (activeElement !== document.activeElement && activeElement.isConnected) activeElement.focus({ preventScroll: true });
  if (anchorNode !== getSelection().anchorNode && anchorNode?.isConnected && focusNode.isConnected) {
    getSelection().setBaseAndExtent(anchorNode, anchorOffset, focusNode, focusOffset);
  }
}
