// SPDX-License-Identifier: Apache-2.0
// Keeps what a page shows up to date: asks for its view as JSON, and writes it into the page.
//
// data-bind="text=lag show=paused" names fields of the nearest item; data-list="regions" names a
// list of it, whose items are children with a data-key. A new child is a clone of the template
// beside them. Values are written as texts and attributes, never as markup.

const live = document.getElementById("live");
const view = document.getElementById("view");
const [hold, notice] = [live.querySelector("button"), live.querySelector("[role=status]")];
const LONGEST_PAUSE = 60_000;

const WRITERS = {
  text: (element, value) => {
    const text = String(value);
    if (element.textContent !== text) element.textContent = text;
  },
  state: (element, value) => { element.dataset.state = value; },
  name: (element, value) => { element.dataset.name = value; },
  show: (element, value) => { element.hidden = !value; },
  hide: (element, value) => { element.hidden = Boolean(value); },
  href: (element, value) => { element.href = `${live.dataset.root}/${value ?? ""}`; },
  input: (element, value) => { element.value = value; },
  value: (element, value) => {
    element.hidden = value === null;
    if (value !== null) element.value = value;
  },
  label: (element, value) => { element.setAttribute("aria-label", value); },
};

function fill(element, item) {
  for (const one of (element.dataset.bind ?? "").split(" ").filter(Boolean)) {
    const [writer, field] = one.split("=");
    WRITERS[writer](element, item[field]);
  }
  if (element.dataset.list) fillList(element, item[element.dataset.list]);
  for (const child of element.children) {
    // Items of a list are filled with it.
    if (child.dataset.key === undefined) fill(child, item);
  }
}

function fillList(container, items) {
  if (!items) return;
  const template = container.querySelector(":scope > template");
  const wanted = new Set(items.map((item) => item.key));
  const known = new Map();
  for (const child of [...container.children]) {
    if (child.dataset.key === undefined) continue;
    if (wanted.has(child.dataset.key)) known.set(child.dataset.key, child);
    else child.remove();
  }
  let before = template;
  for (const item of items) {
    const element = known.get(item.key) ?? template.content.firstElementChild.cloneNode(true);
    element.dataset.key = item.key;
    fill(element, item);
    // Moving an element would take the focus from it.
    if (before.nextElementSibling !== element) before.after(element);
    before = element;
  }
}

let etag = null;
let failures = 0;
let timer = null;

async function ask() {
  const headers = etag === null ? {} : { "If-None-Match": etag };
  const answer = await fetch(live.dataset.address, { headers, cache: "no-store" });
  if (answer.status === 401) return location.reload();
  if (answer.status === 304) return undefined;
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  etag = answer.headers.get("ETag");
  fill(view, await answer.json());
  return undefined;
}

async function turn() {
  timer = null;
  try {
    await ask();
    failures = 0;
    say("");
  } catch {
    failures += 1;
    say("The service does not answer, so this may be old.");
  }
  plan();
}

function say(text) {
  if (notice.textContent !== text) notice.textContent = text;
}

function plan() {
  clearTimeout(timer);
  timer = null;
  if (document.hidden || hold.getAttribute("aria-pressed") === "true") return;
  const pause = Number(live.dataset.every) * 1000 * 2 ** Math.min(failures, 5);
  timer = setTimeout(turn, Math.min(pause, LONGEST_PAUSE));
}

hold.addEventListener("click", () => {
  hold.setAttribute("aria-pressed", String(hold.getAttribute("aria-pressed") !== "true"));
  plan();
});
document.addEventListener("visibilitychange", plan);
// The sentence about what was done is for this time only.
const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done");
  history.replaceState(null, "", address);
}
live.hidden = false;
plan();
