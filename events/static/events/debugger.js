/* The live view asks for the newest rows every second and a half, as long as it is looked at; a waiting event's page
   asks again until it is processed; the Query tool hides the fields that a choice doesn't need. No inline handlers. */
(() => {
  "use strict";

  const EVERY_MS = 1500;
  const ICONS = { pass: "check_circle", warning: "warning", fail: "error", info: "info" };

  const cell = (row, text, className) => {
    const td = row.insertCell();
    if (className) td.className = className;
    td.textContent = text;
    return td;
  };

  const clock = (iso) => `${iso.slice(5, 10)} ${iso.slice(11, 19)}`;

  const eventRow = (table, item) => {
    const row = table.insertRow();
    row.dataset.key = item.key;
    const state = cell(row, "");
    const icon = document.createElement("span");
    icon.className = `material-symbols-outlined dbg-${item.level}`;
    icon.style.fontSize = "18px";
    icon.textContent = ICONS[item.level];
    icon.title = item.state;
    state.append(icon);
    cell(row, clock(item.at), "dbg-now");
    const link = document.createElement("a");
    link.className = "ch-link dbg-id";
    link.href = item.url;
    link.textContent = item.event_id;
    cell(row, "").append(link);
    cell(row, item.name, "dbg-id");
    cell(row, item.customer, "dbg-id");
    cell(row, item.source);
    cell(row, item.reasons.length ? item.reasons.join(", ") : item.state, item.reasons.length ? `dbg-${item.level}` : "");
    cell(row, item.delay, "dbg-num");
    return row;
  };

  const refusedRow = (table, item) => {
    const row = table.insertRow();
    row.dataset.key = item.key;
    cell(row, String(item.status), "dbg-fail dbg-num");
    cell(row, clock(item.at), "dbg-now");
    cell(row, item.key_prefix, "dbg-id dbg-fixed");
    cell(row, item.path, "dbg-id dbg-fixed");
    cell(row, item.field, "dbg-id");
    const what = cell(row, item.message);
    const fix = document.createElement("div");
    fix.className = "ch-note";
    fix.textContent = item.fix;
    what.append(fix);
    cell(row, `${item.count}×`, "dbg-num");
    return row;
  };

  const fill = (body, items, makeRow, known) => {
    const fresh = document.createElement("tbody");
    for (const item of items) {
      const row = makeRow(fresh, item);
      if (!known.has(item.key)) row.className = "dbg-new";
    }
    body.replaceChildren(...fresh.rows);
    known.clear();
    for (const item of items) known.add(item.key);
  };

  const startLive = (root) => {
    const events = root.querySelector("[data-rows=events]");
    const refused = root.querySelector("[data-rows=refused]");
    const status = root.querySelector("[data-status]");
    const dot = root.querySelector("[data-dot]");
    const button = root.querySelector("[data-pause]");
    const keysOf = (body) => new Set([...body.rows].map((row) => row.dataset.key));
    const knownEvents = keysOf(events);
    const knownRefused = keysOf(refused);
    let isPaused = false;

    const say = (text, className) => {
      status.textContent = text;
      dot.className = `dbg-dot ${className}`;
    };

    const show = (feed) => {
      fill(events, feed.events, eventRow, knownEvents);
      fill(refused, feed.refused, refusedRow, knownRefused);
      root.querySelector("[data-empty=events]").hidden = feed.events.length > 0;
      root.querySelector("[data-empty=refused]").hidden = feed.refused.length > 0;
      root.querySelector("[data-waiting]").textContent = feed.waiting;
      say("Live", "");
    };

    const ask = async () => {
      if (!isPaused && !document.hidden) {
        try {
          const answer = await fetch(root.dataset.feed, { headers: { Accept: "application/json" } });
          if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
          const feed = await answer.json();
          if (!isPaused) show(feed);
        } catch {
          say("No answer; trying again", "dbg-dot-lost");
        }
      }
      setTimeout(ask, EVERY_MS);
    };

    button.addEventListener("click", () => {
      isPaused = !isPaused;
      button.textContent = isPaused ? "Go on" : "Pause";
      say(isPaused ? "Paused" : "Live", isPaused ? "dbg-dot-paused" : "");
    });
    setTimeout(ask, EVERY_MS);
  };

  const reflect = (form) => {
    const fields = form.querySelector(".dbg-form");
    const show = () => {
      for (const name of ["window", "group"]) fields.dataset[name] = form.elements[name].value;
    };
    form.addEventListener("change", show);
    show();
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-feed]").forEach(startLive);
    document.querySelectorAll("[data-reflect]").forEach(reflect);
    const waiting = document.querySelector("[data-reload-ms]");
    if (waiting) setTimeout(() => location.reload(), Number(waiting.dataset.reloadMs));
  });
})();
