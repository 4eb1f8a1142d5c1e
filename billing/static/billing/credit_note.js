/* Fills in the amounts of a credit note: everything that can still be credited, or nothing. */
(() => {
  "use strict";

  const form = document.getElementById("credit-form");
  const all = document.getElementById("credit-all");
  if (!all) return;

  const fill = (amountOf) => {
    form.querySelectorAll("[data-remaining]").forEach((input) => {
      input.value = amountOf(input.dataset.remaining);
    });
    form.dispatchEvent(new Event("input"));
  };

  all.addEventListener("click", () => fill((remaining) => remaining));
  document.getElementById("credit-none").addEventListener("click", () => fill((remaining) => remaining.replace(/\d/g, "0")));
})();
