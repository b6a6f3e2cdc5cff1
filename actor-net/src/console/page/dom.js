// What is shown is a function of the data: a view returns a description (`h`), and `render` changes the
// document where it differs from the one before. So a page that is drawn anew every second keeps the reader's
// focus, selection, scroll position and open details.
//
// No markup is ever made from text: names of actors and texts of panics come from elsewhere, and are only
// ever text nodes and attribute values. Styles are set as properties, which a strict
// Content-Security-Policy allows.

const SVG = "http://www.w3.org/2000/svg";

/** Describes an element. Children may be nested lists; `null` and booleans are left out. */
export function h(tag, props, ...children) {
  const list = [];
  flatten(children, list);
  return { tag, props: props ?? {}, children: list, key: props?.key, element: null };
}

function flatten(from, into) {
  for (const child of from) {
    if (child === null || child === undefined || typeof child === "boolean") continue;
    if (Array.isArray(child)) flatten(child, into);
    else if (typeof child === "object") into.push(child);
    else into.push({ text: String(child), element: null });
  }
}

const shown = new WeakMap();
// What wants to know that it is in the document: told when all of it is.
const arrived = [];

/** Makes the children of `parent` what `nodes` describes. */
export function render(parent, ...nodes) {
  const next = [];
  flatten(nodes, next);
  const active = document.activeElement;
  patchChildren(parent, shown.get(parent) ?? [], next, null);
  shown.set(parent, next);
  for (const [tell, element] of arrived.splice(0)) tell(element);
  // An element that changed its place has lost the focus on the way.
  const lost = document.activeElement === null || document.activeElement === document.body;
  if (lost && active && active !== document.body && active.isConnected) {
    active.focus({ preventScroll: true });
  }
}

function create(node, space) {
  if (node.text !== undefined) {
    node.element = document.createTextNode(node.text);
    return node.element;
  }
  const inside = node.tag === "svg" ? SVG : space;
  const element = inside ? document.createElementNS(inside, node.tag) : document.createElement(node.tag);
  node.element = element;
  // Children first: a select takes its value only when it has its options.
  patchChildren(element, [], node.children, node.tag === "foreignObject" ? null : inside);
  patchProps(element, {}, node.props);
  if (node.props.attached) arrived.push([node.props.attached, element]);
  return element;
}

function patch(old, next, space) {
  const element = old.element;
  next.element = element;
  if (next.text !== undefined) {
    if (old.text !== next.text) element.data = next.text;
    return;
  }
  const inside = next.tag === "svg" ? SVG : space;
  patchChildren(element, old.children, next.children, next.tag === "foreignObject" ? null : inside);
  patchProps(element, old.props, next.props);
}

const kind = (node) => (node.text !== undefined ? "#" : node.tag);

function patchChildren(parent, old, next, space) {
  // Matched by key where there is one, else by kind and order.
  const waiting = new Map();
  for (const node of old) {
    const name = node.key !== undefined ? `k:${kind(node)}:${node.key}` : kind(node);
    const queue = waiting.get(name);
    if (queue) queue.push(node);
    else waiting.set(name, [node]);
  }
  for (const node of next) {
    const name = node.key !== undefined ? `k:${kind(node)}:${node.key}` : kind(node);
    const match = waiting.get(name)?.shift();
    if (match) patch(match, node, space);
    else create(node, space);
  }
  for (const queue of waiting.values()) {
    for (const node of queue) remove(node);
  }
  let place = parent.firstChild;
  for (const node of next) {
    if (node.element === place) place = place.nextSibling;
    else parent.insertBefore(node.element, place);
  }
}

function remove(node) {
  detached(node);
  node.element.remove();
}

function detached(node) {
  if (node.text !== undefined) return;
  node.props.detached?.(node.element);
  for (const child of node.children) detached(child);
}

function patchProps(element, old, next) {
  for (const name in old) if (!(name in next)) set(element, name, old[name], undefined);
  for (const name in next) set(element, name, old[name], next[name]);
}

function set(element, name, old, value) {
  if (name === "key" || name === "attached" || name === "detached") return;
  if (name.startsWith("on")) {
    element[name] = value ?? null;
  } else if (name === "style") {
    for (const part in old) if (!value || !(part in value)) element.style.removeProperty(part);
    for (const part in value) if (old?.[part] !== value[part]) element.style.setProperty(part, value[part]);
  } else if (name === "value" || name === "checked") {
    // What the reader is typing stands, unless the program means something else.
    if (value !== old && element[name] !== value) element[name] = value ?? "";
  } else if (value !== old) {
    const states = name.startsWith("aria-");
    if (value === undefined || value === null || (value === false && !states)) element.removeAttribute(name);
    else element.setAttribute(name, value === true && !states ? "" : String(value));
  }
}

// How wide elements are, for what is drawn to measure. One observer for all; forgotten with its element.
const widths = new Map();
let resized = () => {};
const observer = new ResizeObserver((entries) => {
  for (const entry of entries) {
    const id = entry.target.dataset.measure;
    if (id) widths.set(id, Math.round(entry.contentRect.width));
  }
  resized();
});

/** Is called when a measured element has another width. */
export function onResize(callback) {
  resized = callback;
}

/** The properties that make an element measured, under a name. */
export function measured(id) {
  return {
    "data-measure": id,
    attached: (element) => observer.observe(element),
    detached: (element) => {
      observer.unobserve(element);
      widths.delete(id);
    },
  };
}

/** The width of a measured element, or what to take before it is known. */
export function widthOf(id, otherwise = 600) {
  return widths.get(id) || otherwise;
}
