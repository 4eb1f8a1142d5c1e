/* Selects drafts to review, and shows how many are selected and what they total. */
(() => {
  "use strict";

  document.querySelectorAll("[data-submits]").forEach((input) => {
    input.addEventListener("change", () => input.form.requestSubmit());
  });

  const form = document.getElementById("review-form");
  const summary = document.getElementById("review-selection");
  if (!summary) return;
  const rows = [...form.querySelectorAll("[name=_selected_action]")];
  const page = document.getElementById("review-page");
  const all = document.getElementById("review-all-matching");

  const totals = (selected) => {
    const sums = {};
    selected.forEach(({ dataset: { currency, total } }) => {
      sums[currency] = (sums[currency] || 0) + Number(total);
    });
    const format = ([currency, sum]) => new Intl.NumberFormat("en", { style: "currency", currency }).format(sum);
    return Object.entries(sums).sort().map(format).join(" + ");
  };

  const update = () => {
    const selected = rows.filter((row) => row.checked);
    page.checked = selected.length === rows.length;
    page.indeterminate = selected.length > 0 && !page.checked;
    rows.concat(page).forEach((row) => { row.disabled = Boolean(all && all.checked); });
    if (all && all.checked) summary.textContent = all.dataset.matching;
    else if (!selected.length) summary.textContent = "Nothing selected.";
    else summary.textContent = `${selected.length} selected, ${totals(selected)}`;
  };

  page.addEventListener("change", () => {
    rows.forEach((row) => { row.checked = page.checked; });
    update();
  });
  form.addEventListener("change", update);
  update();
})();
