/* The frame of the admin: the sidebar is open from the width at which it has its place beside the page, and every
   control that Unfold draws as plain text can be used from the keyboard. */
(() => {
  "use strict";

  const WIDE = 1280;
  const CONTROLS = ":is(a:not([href]), span, div)[x-on\\:click]:not([role], .resize, [x-data])";

  /* Unfold closes the sidebar at exactly the width where its style sheet makes room for it. */
  document.addEventListener("alpine:init", () => {
    const unfoldTheme = window.theme;
    window.theme = (...settings) => {
      const data = unfoldTheme(...settings);
      const isWide = () => window.innerWidth >= WIDE;
      const isWanted = () => isWide() && localStorage.getItem("sidebarOpen") !== "0";
      data.sidebarOpen = isWanted;
      data.sidebarToggle = function toggle() {
        this.sidebarOpen = !this.sidebarOpen;
        if (isWide()) localStorage.setItem("sidebarOpen", this.sidebarOpen ? "1" : "0");
      };
      data.themeBindings["x-resize.window"] = function resize() {
        this.sidebarOpen = isWanted();
      };
      return data;
    };
  });

  const makeButtons = () => {
    document.querySelectorAll(CONTROLS).forEach((control) => {
      control.tabIndex = 0;
      control.setAttribute("role", "button");
    });
  };

  /* The libraries' choices get the name of their field, and only roles that fit what they are. */
  const nameChoices = () => {
    document.querySelectorAll(".select2-selection").forEach((choice) => {
      const field = choice.closest(".select2").previousElementSibling;
      const name = (field?.labels?.[0]?.textContent || field?.name || "Choose").replace("*", "").trim();
      const list = choice.querySelector(".select2-selection__rendered");
      choice.removeAttribute("aria-labelledby");
      choice.setAttribute("aria-label", name);
      choice.querySelector("input")?.setAttribute("aria-label", name);
      if (list?.tagName === "UL") list.setAttribute("role", "presentation");
      else ["role", "aria-readonly"].forEach((attribute) => list?.removeAttribute(attribute));
    });
    document.querySelectorAll(".help-tooltip[aria-label]").forEach((tip) => tip.setAttribute("role", "img"));
  };

  /* Unfold's column for deleting rows has no heading. */
  const nameColumns = () => {
    document.querySelectorAll("thead th").forEach((heading) => {
      if (heading.textContent.trim() || heading.querySelector("input, img")) return;
      heading.append(Object.assign(document.createElement("span"), { className: "sr-only", textContent: "Actions" }));
    });
  };

  /* A passkey that isn't there, or that was refused. */
  document.addEventListener("allauth.error", (event) => {
    const message = document.getElementById("passkey-error");
    if (!message) return;
    event.preventDefault();
    message.hidden = false;
  });

  const prepare = () => {
    makeButtons();
    nameColumns();
    nameChoices();
  };

  /* An action that needs no answer is carried out by its button: its dialog is submitted, not shown. */
  const carryOut = (event) => {
    const link = event.target.closest("a[data-at-once]");
    const token = document.querySelector("input[name=csrfmiddlewaretoken]");
    if (!link || !token || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const form = Object.assign(document.createElement("form"), { method: "post", action: link.href, hidden: true });
    const submitted = Object.assign(document.createElement("input"), { name: "_form_submitted", value: "on" });
    form.append(token.cloneNode(), submitted);
    document.body.append(form);
    form.submit();
  };

  /* How long ago a time was is added to its title once the pointer reaches it. */
  const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const distances = new Intl.RelativeTimeFormat("en");
  const addDistance = (event) => {
    const time = event.target.closest("time.ch-time:not([data-distance])");
    if (!time) return;
    const seconds = (new Date(time.dateTime) - Date.now()) / 1000;
    const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) || ["second", 1];
    time.dataset.distance = distances.format(Math.round(seconds / size), unit);
    time.title = `${time.title} · ${time.dataset.distance}`;
  };

  document.addEventListener("mouseover", addDistance);
  document.addEventListener("click", carryOut, true);
  document.addEventListener("alpine:initialized", makeButtons);
  document.addEventListener("htmx:afterSettle", prepare);
  window.addEventListener("load", () => setTimeout(prepare));
  document.addEventListener("keydown", (event) => {
    const isPress = event.key === "Enter" || event.key === " ";
    if (isPress && event.target.matches('[role="button"]:not(button, a[href])')) {
      event.preventDefault();
      event.target.click();
    }
  });
})();
