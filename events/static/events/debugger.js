/* The live view polls for the newest rows while its tab is visible. The page of a waiting event reloads until the event
   is processed. The Query tool hides the fields that the chosen window and group don't need. */
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
    icon.className = `material-symbols-outlined ch-level-icon ch-${item.level}`;
    icon.role = "img";
    icon.ariaLabel = item.state;
    icon.textContent = ICONS[item.level];
    icon.title = item.state;
    state.append(icon);
    cell(row, clock(item.at), "ch-nowrap");
    const link = document.createElement("a");
    link.className = "ch-link ch-mono";
    link.href = item.url;
    link.textContent = item.event_id;
    cell(row, "").append(link);
    cell(row, item.name, "ch-mono");
    cell(row, item.customer, "ch-mono");
    cell(row, item.source);
    cell(row, item.reasons.length ? item.reasons.join(", ") : item.state, item.reasons.length ? `ch-${item.level}` : "");
    cell(row, item.delay, "ch-right");
    return row;
  };

  const refusedRow = (table, item) => {
    const row = table.insertRow();
    row.dataset.key = item.key;
    cell(row, String(item.status), "ch-fail ch-right");
    cell(row, clock(item.at), "ch-nowrap");
    cell(row, item.key_prefix, "ch-mono ch-nowrap");
    cell(row, item.path, "ch-mono ch-nowrap");
    cell(row, item.field, "ch-mono");
    const message = cell(row, item.message);
    const fix = document.createElement("div");
    fix.className = "ch-note";
    fix.textContent = item.fix;
    message.append(fix);
    cell(row, `${item.count}×`, "ch-right");
    return row;
  };

  const fill = (body, items, makeRow, known) => {
    const fresh = document.createElement("tbody");
    for (const item of items) {
      const row = makeRow(fresh, item);
      if (!known.has(item.key)) row.className = "ch-new";
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

    const showStatus = (text, className) => {
      status.textContent = text;
      dot.className = `ch-dot ${className}`;
    };

    const show = (feed) => {
      fill(events, feed.events, eventRow, knownEvents);
      fill(refused, feed.refused, refusedRow, knownRefused);
      root.querySelector("[data-empty=events]").hidden = feed.events.length > 0;
      root.querySelector("[data-empty=refused]").hidden = feed.refused.length > 0;
      root.querySelector("[data-waiting]").textContent = feed.waiting;
      showStatus("Live", "");
    };

    const poll = async () => {
      if (!isPaused && !document.hidden) {
        try {
          const response = await fetch(root.dataset.feed, { headers: { Accept: "application/json" } });
          if (!response.ok || response.redirected) throw new Error(String(response.status));
          const feed = await response.json();
          if (!isPaused) show(feed);
        } catch {
          showStatus("Connection lost, retrying", "ch-dot-lost");
        }
      }
      setTimeout(poll, EVERY_MS);
    };

    button.addEventListener("click", () => {
      isPaused = !isPaused;
      button.textContent = isPaused ? "Resume" : "Pause";
      showStatus(isPaused ? "Paused" : "Live", isPaused ? "ch-dot-paused" : "");
    });
    setTimeout(poll, EVERY_MS);
  };

  const reflect = (form) => {
    const fields = form.querySelector(".ch-form-grid");
    const show = () => {
      for (const name of ["window", "group"]) fields.dataset[name] = form.elements[name].value;
    };
    form.addEventListener("change", show);
    show();
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-feed]").forEach(startLive);
    document.querySelectorAll("[data-reflect]").forEach(reflect);
    const waitingEvent = document.querySelector("[data-reload-ms]");
    if (waitingEvent) setTimeout(() => location.reload(), Number(waitingEvent.dataset.reloadMs));
  });
})();
