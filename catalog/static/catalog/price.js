// Shows the tiers only for pricing models that have tiers.
document.addEventListener("DOMContentLoaded", () => {
    const tiers = document.getElementById("tiers-group");
    const model = document.getElementById("id_model");
    if (!tiers || !model) return;
    const tiered = ["graduated", "volume", "graduated_percentage"];
    const show = () => tiers.classList.toggle("hidden", !tiered.includes(model.value));
    model.addEventListener("change", show);
    show();
});
