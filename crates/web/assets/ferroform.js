// What pages do beyond htmx; each of it also works, if plainly, without.
"use strict";

// A part that is asked for again and has not changed stays as it is, with what is open, chosen or scrolled in it.
const unchanged = (event) => {
  const now = event.detail.target?.dataset.version;
  const next = event.detail.fragment ?? event.detail.serverResponse;
  if (now && typeof next !== "string" && next?.querySelector?.("[data-version]")?.dataset.version === now) {
    event.detail.shouldSwap = false;
  }
};
document.addEventListener("htmx:oobBeforeSwap", unchanged);

// Copies the text of what `data-copy` names.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  const source = button && document.querySelector(button.dataset.copy);
  if (!source) return;
  await navigator.clipboard.writeText(source.value ?? source.textContent);
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
});

// `/` goes to the page's search, Escape leaves it; `j`, `k` go through a list.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "Escape" && typing) typing.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  }
  if (event.key === "j" || event.key === "k") {
    const links = [...document.querySelectorAll("[data-list] [data-item]")];
    const at = links.indexOf(document.activeElement);
    const next = links[event.key === "j" ? Math.min(at + 1, links.length - 1) : Math.max(at - 1, 0)];
    next?.focus();
  }
});
