// The page works without this. With it, forms open as dialogs, addresses can be copied and plots move.
"use strict";

const told = document.body.dataset;

// ---- Saying things ----

const say = (text) => {
  const place = document.getElementById("said");
  // Said twice, it must change to be read out twice.
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
};

const trouble = (text) => {
  const place = document.getElementById("trouble");
  if (place.textContent !== text) place.textContent = text;
  place.hidden = text === "";
};

// A page that the browser kept may be from before a log-out: it is asked for anew.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// ---- Copying ----

const copyBySelection = (text) => {
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("readonly", "");
  area.className = "visually-hidden";
  // Behind an open dialog nothing can be selected.
  const host = document.querySelector("dialog[open]") || document.body;
  host.append(area);
  area.select();
  let copied = false;
  try { copied = document.execCommand("copy"); } catch { /* Told below. */ }
  area.remove();
  return copied;
};

const copy = async (button) => {
  const text = button.dataset.copy;
  let copied = false;
  try {
    await navigator.clipboard.writeText(text);
    copied = true;
  } catch {
    // No permission, or a page that is not served by TLS: the old way asks nobody.
    copied = copyBySelection(text);
    button.focus();
  }
  say(copied ? `${told.copied}: ${text}` : told.notCopied);
  button.classList.toggle("done", copied);
  button.title = copied ? told.copied : told.notCopied;
  setTimeout(() => { button.classList.remove("done"); button.removeAttribute("title"); }, 1500);
};

// ---- Dialogs ----

const dialog = document.getElementById("dialog");
const fragment = { "X-Fragment": "1" };
// What is asked for without anybody's doing does not keep a session alive.
const background = { ...fragment, "X-Background": "1" };
let asked = 0;

const showIn = (markup) => {
  const parsed = new DOMParser().parseFromString(markup, "text/html");
  dialog.replaceChildren(...parsed.body.childNodes);
  const first = dialog.querySelector("[data-focus], [autofocus]") || dialog.querySelector("button[type=submit], [data-close]");
  if (first) first.focus();
  for (const input of dialog.querySelectorAll("[data-choices]")) offerChoices(input);
};

const showSentence = (text, busy) => {
  const box = document.createElement("div");
  box.className = "loading";
  box.setAttribute("role", "status");
  box.setAttribute("aria-busy", String(busy));
  const line = document.createElement("p");
  line.id = "dialog-title";
  line.textContent = text;
  box.append(line);
  dialog.replaceChildren(box);
  if (busy) return;
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  const close = document.createElement("button");
  close.type = "button";
  close.dataset.close = "";
  close.textContent = told.close;
  buttons.append(close);
  box.append(buttons);
  close.focus();
};

// Answers with markup, or goes where the answer says.
const fetchFragment = async (place, options) => {
  const answer = await fetch(place, { credentials: "same-origin", headers: fragment, ...options });
  const next = answer.headers.get("X-Go-To");
  if (next) {
    // Going to the very same page would change nothing but the part behind the hash.
    location.assign(next);
    return null;
  }
  return answer.text();
};

const openDialog = async (place) => {
  const turn = ++asked;
  showSentence(told.loading, true);
  if (!dialog.open) dialog.showModal();
  try {
    const markup = await fetchFragment(place, {});
    if (markup !== null && turn === asked && dialog.open) showIn(markup);
  } catch {
    if (turn === asked) showSentence(told.noAnswer, false);
  }
};

const submitDialog = async (form) => {
  const button = form.querySelector("button[type=submit]");
  const label = button.textContent;
  const fields = new URLSearchParams(new FormData(form));
  button.disabled = true;
  button.textContent = told.working;
  form.setAttribute("aria-busy", "true");
  try {
    const markup = await fetchFragment(form.action, { method: "POST", body: fields });
    if (markup !== null) showIn(markup);
  } catch {
    form.removeAttribute("aria-busy");
    button.disabled = false;
    button.textContent = label;
    let box = form.querySelector("[role=alert]");
    if (!box) {
      box = document.createElement("div");
      box.className = "notice bad";
      box.setAttribute("role", "alert");
      form.querySelector("h2").after(box);
    }
    // It may have come to the gateway, and only the answer not to us.
    box.textContent = told.outcomeUnknown;
  }
};

const offerChoices = (input) => {
  const list = document.getElementById(input.getAttribute("list"));
  let turn = 0;
  let waiting = 0;
  const offer = async () => {
    const mine = ++turn;
    try {
      const answer = await fetch(`${input.dataset.choices}?q=${encodeURIComponent(input.value)}`, { headers: fragment });
      if (answer.status !== 200 || mine !== turn) return;
      list.replaceChildren(...(await answer.json()).map((choice) => {
        const option = document.createElement("option");
        option.value = choice.value;
        option.label = choice.label;
        return option;
      }));
    } catch { /* It can be typed all the same. */ }
  };
  input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(offer, 150); });
  offer();
};

for (const input of document.querySelectorAll("[data-choices]")) offerChoices(input);

document.addEventListener("click", (event) => {
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  const button = event.target.closest("[data-copy]");
  if (button) { copy(button); return; }
  if (!dialog || !plain) return;
  const opener = event.target.closest("a[data-dialog]");
  if (opener) { event.preventDefault(); openDialog(opener.href); return; }
  if (event.target.closest("dialog [data-close]")) { event.preventDefault(); dialog.close(); }
});

if (dialog) {
  dialog.addEventListener("submit", (event) => { event.preventDefault(); submitDialog(event.target); });
  dialog.addEventListener("close", () => {
    // Told with the next frame, when it may be open again and for something else.
    if (dialog.open) return;
    asked += 1;
    dialog.replaceChildren();
  });
}

// ---- Live traffic ----

const PERIOD = 1000;
const MINUTE = 60_000;
const places = () => [...document.querySelectorAll("[data-live]")];
const samples = new Map();

const span = (place) => (place.classList.contains("monitor") ? 2 * MINUTE : MINUTE);

const three = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const scaled = (value, units, step) => {
  let index = 0;
  while (value >= step && index < units.length - 1) { value /= step; index += 1; }
  return `${index === 0 ? value.toFixed(0) : three(value)} ${units[index]}`;
};
const bits = (rate) => scaled(rate, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"], 1000);
const perSecond = (rate) => scaled(rate, ["/s", "k/s", "M/s"], 1000);
const whole = (value) => value.toLocaleString(document.documentElement.lang);
const bytes = (value) => scaled(value, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 1024);

const put = (place, selector, text) => {
  const found = place.querySelector(selector);
  if (found && found.textContent !== text) found.textContent = text;
};

// Per second, between each two samples: [when, bits in, bits out, packets in, packets out].
const rates = (kept) => kept.slice(1).map((sample, index) => {
  const before = kept[index];
  const seconds = (sample[0] - before[0]) / 1000;
  const rate = (column, factor) => (factor * (sample[column] - before[column])) / seconds;
  return [sample[0], rate(1, 8), rate(2, 8), rate(3, 1), rate(4, 1)];
});

const draw = (svg, drawn, now, covered, columns, least) => {
  const { width, height } = svg.viewBox.baseVal;
  const peak = Math.max(least, ...drawn.map((rate) => Math.max(rate[columns[0]], rate[columns[1]])));
  const points = (column) => drawn.map((rate) => {
    const x = width * (1 - (now - rate[0]) / covered);
    const y = height - 1 - ((height - 3) * rate[column]) / peak;
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  }).join(" ");
  svg.querySelector(".in").setAttribute("points", points(columns[0]));
  svg.querySelector(".out").setAttribute("points", points(columns[1]));
  return peak;
};

const show = (place, kept) => {
  const latest = kept[kept.length - 1];
  const [, bytesIn, bytesOut, packetsIn, packetsOut] = latest;
  put(place, "[data-total=packets-in]", whole(packetsIn));
  put(place, "[data-total=packets-out]", whole(packetsOut));
  put(place, "[data-total=bytes-in]", bytes(bytesIn));
  put(place, "[data-total=bytes-out]", bytes(bytesOut));
  const all = rates(kept);
  if (all.length === 0) return;
  const now = latest[0];
  const covered = span(place);
  const drawn = all.filter((rate) => now - rate[0] <= covered);
  const last = drawn[drawn.length - 1];
  for (const svg of place.querySelectorAll("svg")) {
    const packets = svg.dataset.plot === "packets";
    const peak = draw(svg, drawn, now, covered, packets ? [3, 4] : [1, 2], packets ? 1 : 1000);
    put(place, `[data-peak=${svg.dataset.plot}]`, packets ? perSecond(peak) : bits(peak));
  }
  put(place, "[data-rate=in]", bits(last[1]));
  put(place, "[data-rate=out]", bits(last[2]));
  put(place, "[data-rate=bytes-in]", bits(last[1]));
  put(place, "[data-rate=bytes-out]", bits(last[2]));
  put(place, "[data-rate=packets-in]", perSecond(last[3]));
  put(place, "[data-rate=packets-out]", perSecond(last[4]));
};

const keep = (address, sample) => {
  let kept = samples.get(address) || [];
  const last = kept[kept.length - 1];
  // A daemon that was started anew counts time from its start, and an address bound anew counts from 0.
  if (last && (sample[0] < last[0] || sample.slice(1).some((value, column) => value < last[column + 1]))) kept = [];
  if (!last || sample[0] > last[0] || kept.length === 0) kept = [...kept, sample];
  kept = kept.filter((one) => sample[0] - one[0] <= 2 * MINUTE + 2 * PERIOD);
  samples.set(address, kept);
  return kept;
};

const STORED = "eipgate-samples";

// What was drawn on the page before goes on here.
const recall = () => {
  try {
    for (const [address, kept] of JSON.parse(sessionStorage.getItem(STORED) || "[]")) samples.set(address, kept);
  } catch { /* Plots begin anew. */ }
};
const remember = () => {
  try { sessionStorage.setItem(STORED, JSON.stringify([...samples].slice(-64))); } catch { /* Likewise. */ }
};

// ---- What the page asks by itself ----

const ROWS_EVERY = 5;

// Its answer; none where the session has ended, which is said then.
const askUnbidden = async (place) => {
  const answer = await fetch(place, { credentials: "same-origin", headers: background });
  if (answer.headers.get("X-Go-To")) {
    trouble(told.sessionOver);
    return null;
  }
  if (!answer.ok) throw new Error(`answered with ${answer.status}`);
  return answer;
};

// Says whether the session goes on, as does what follows.
const refreshPlots = async () => {
  const wanted = [...new Set(places().map((place) => place.dataset.live))];
  const query = wanted.map((address) => `of=${encodeURIComponent(address)}`).join("&");
  const answer = await askUnbidden(`/live?${query}`);
  if (!answer) return false;
  if (!(answer.headers.get("Content-Type") || "").startsWith("application/json")) throw new Error("no figures");
  const { at, rows } = await answer.json();
  for (const place of places()) {
    const counted = rows[place.dataset.live];
    if (counted) show(place, keep(place.dataset.live, [at, ...counted]));
  }
  return true;
};

const list = () => document.querySelector("[data-list]");
const rowsOf = (found) => [...(found ? found.querySelectorAll("tbody > tr") : [])];
const key = (row) => row.dataset.instance || row.dataset.eip || "";
// As the gateway wrote them, without what is drawn here.
const written = new Map(rowsOf(list()).map((row) => [key(row), row.outerHTML]));

// Puts rows that are different by now, as when somebody else has bound an address, in the place of those that are there.
const refreshRows = async () => {
  const answer = await askUnbidden(location.href);
  if (!answer) return false;
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = parsed.querySelector("[data-list]");
  // Where the gateway is busy or about to stop, a sentence comes instead.
  if (!found) throw new Error("no list");
  if (dialog && dialog.open) return true;
  const present = list();
  const [old, rows] = [rowsOf(present), rowsOf(found)];
  const texts = new Map(rows.map((row) => [key(row), row.outerHTML]));
  const changed = rows.filter((row) => written.get(key(row)) !== texts.get(key(row)));
  const inPlace = rows.length === old.length && rows.every((row, index) => key(row) === key(old[index]));
  if (changed.length === 0 && inPlace) return true;
  const active = document.activeElement;
  const focus = active && present.contains(active) ? active.getAttribute("href") : null;
  if (inPlace) {
    for (const row of changed) old.find((one) => key(one) === key(row)).replaceWith(row);
  } else if (old.length > 0 && rows.length > 0) {
    present.querySelector("tbody").replaceChildren(...rows);
  } else {
    // The first row comes and the last one goes with all that is around them.
    present.replaceWith(found);
  }
  written.clear();
  for (const [name, text] of texts) written.set(name, text);
  for (const place of places()) {
    const kept = samples.get(place.dataset.live);
    if (kept) show(place, kept);
  }
  if (focus) [...list().querySelectorAll("a")].find((link) => link.getAttribute("href") === focus)?.focus();
  return true;
};

const askForever = async () => {
  let failures = 0;
  let roundsToRows = ROWS_EVERY;
  for (;;) {
    if (!document.hidden) {
      roundsToRows -= 1;
      const plots = places().length > 0;
      const rows = list() !== null && roundsToRows <= 0;
      try {
        if (plots && !(await refreshPlots())) return;
        if (rows) {
          if (!(await refreshRows())) return;
          // Rows that did not come are asked for every time until they do.
          roundsToRows = ROWS_EVERY;
        }
        // A round in which nothing was asked says nothing about the gateway.
        if (plots || rows) {
          failures = 0;
          trouble("");
        }
      } catch {
        failures += 1;
        // A single one that is lost is nobody's business.
        if (failures > 1) trouble(told.unreachable);
      }
    }
    await new Promise((resolve) => { setTimeout(resolve, PERIOD * Math.min(failures + 1, 10)); });
  }
};

// Nobody is logged in: whoever comes next is not shown what was.
if (!dialog) sessionStorage.removeItem(STORED);

if (places().length > 0 || list()) {
  recall();
  addEventListener("pagehide", remember);
  askForever();
}
