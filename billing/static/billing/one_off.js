/* Adds item rows to a one-off invoice, and recalculates its total when another customer is chosen. */
(() => {
  "use strict";

  const form = document.getElementById("one-off-form");
  const count = form.querySelector("[name=items-TOTAL_FORMS]");
  const blank = document.getElementById("one-off-blank");

  document.getElementById("one-off-more").addEventListener("click", () => {
    const row = blank.content.cloneNode(true);
    row.querySelectorAll("[name]").forEach((input) => {
      input.name = input.name.replace("__prefix__", count.value);
      input.id = input.id.replace("__prefix__", count.value);
    });
    document.getElementById("one-off-items").append(row);
    count.value = Number(count.value) + 1;
    form.querySelector(".one-off-item:last-child input").focus();
  });

  // Select2 triggers jQuery events only; htmx listens to the form's DOM events.
  const $ = window.django && window.django.jQuery;
  if ($) $(form).on("select2:select", () => form.dispatchEvent(new Event("changed")));
})();
