/* Adds features to the plan's form, and shows the fields that the choices of each feature need. */
(() => {
  "use strict";

  const form = document.getElementById("plan-setup");
  const list = document.getElementById("setup-features");
  const count = form.querySelector("[name=features-TOTAL_FORMS]");
  const blank = document.getElementById("setup-blank");

  const valueOf = (feature, name) => feature.querySelector(`[name$="-${name}"]`).value;

  const update = (feature) => {
    const isNew = !valueOf(feature, "feature");
    const shown = {
      new: isNew,
      property: isNew && valueOf(feature, "aggregation") !== "count",
      per_unit: valueOf(feature, "model") === "per_unit",
      tiered: valueOf(feature, "model") !== "per_unit",
    };
    feature.querySelectorAll("[data-shown-if]").forEach((part) => {
      part.hidden = !shown[part.dataset.shownIf];
    });
  };

  document.getElementById("setup-more").addEventListener("click", () => {
    const number = count.value;
    const copy = blank.content.cloneNode(true);
    copy.querySelectorAll("[name], [id], label").forEach((element) => {
      ["name", "id", "for"].forEach((attribute) => {
        const value = element.getAttribute(attribute);
        if (value) element.setAttribute(attribute, value.replace("__prefix__", number));
      });
    });
    copy.querySelector(".ch-setup-number").textContent = Number(number) + 1;
    list.append(copy);
    count.value = Number(number) + 1;
    update(list.lastElementChild);
    list.lastElementChild.querySelector("[name$='-name']").focus();
  });

  list.addEventListener("change", (event) => update(event.target.closest(".ch-setup-feature")));
  list.querySelectorAll(".ch-setup-feature").forEach(update);
})();
