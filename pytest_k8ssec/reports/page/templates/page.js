"use strict";
// Filters choose from what is on the page; without this script all of it is there.
(() => {
  const filters = document.getElementById("filters");
  const search = document.getElementById("search");
  const selects = [...filters.querySelectorAll("select")];
  const chosen = [...document.querySelectorAll("[data-verdict]")];
  const verdicts = chosen.filter((each) => each.matches(".verdicts > li"));
  const words = new Map();

  const text = (element) => {
    if (!words.has(element)) words.set(element, element.textContent.toLowerCase());
    return words.get(element);
  };
  const has = (element, name, value) => (element.dataset[name] || "").split("\n").includes(value);

  const choose = () => {
    const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    for (const each of chosen) {
      each.hidden =
        selects.some((select) => select.value && !has(each, select.dataset.filter, select.value)) ||
        wanted.some((word) => !text(each).includes(word));
    }
    const shown = verdicts.filter((each) => !each.hidden).length;
    document.getElementById("shown").textContent = `${shown} of ${verdicts.length} verdicts`;
    document.getElementById("none").hidden = shown > 0;
  };

  // A link to a verdict opens it, also where it was filtered out.
  const open = () => {
    const there = document.getElementById(location.hash.slice(1));
    const details = there && there.querySelector(":scope > details");
    if (!details) return;
    there.hidden = false;
    details.open = true;
    there.scrollIntoView();
    details.querySelector("summary").focus({ preventScroll: true });
  };

  let waiting;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(choose, 120);
  });
  selects.forEach((each) => each.addEventListener("change", choose));
  document.getElementById("reset").addEventListener("click", () => {
    search.value = "";
    selects.forEach((each) => (each.value = ""));
    choose();
  });
  window.addEventListener("hashchange", open);
  filters.hidden = false;
  choose();
  open();
})();
