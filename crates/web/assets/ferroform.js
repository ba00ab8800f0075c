// What pages do beyond htmx; each of it also works, if plainly, without.
"use strict";

// A part that is asked for again and has not changed stays as it is, with what is open, chosen or scrolled in it.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const version = detail.target?.dataset?.version;
  if (version && detail.serverResponse?.includes(`data-version="${version}"`)) detail.shouldSwap = false;
});

// The same for parts that come together (`live::refresh`).
document.addEventListener("htmx:oobBeforeSwap", ({ detail }) => {
  const version = detail.target?.dataset?.part;
  if (version && detail.fragment?.querySelector?.("[data-part]")?.dataset.part === version) detail.shouldSwap = false;
});

// A form with files shows how far it is, and what the server says of it in its place.
document.addEventListener("htmx:xhr:progress", ({ target, detail }) => {
  const bar = target.querySelector?.("progress");
  if (!bar || !detail.lengthComputable) return;
  bar.hidden = false;
  bar.max = detail.total;
  bar.value = detail.loaded;
});
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.requestConfig?.elt?.matches?.("[data-upload]") && detail.xhr.status >= 400) {
    detail.shouldSwap = true;
    detail.isError = false;
  }
});

// Hides what of a list does not hold the text of its filter.
document.addEventListener("input", ({ target }) => {
  const list = target.dataset.filter && document.querySelector(target.dataset.filter);
  const wanted = target.value.toLowerCase();
  for (const item of list?.children ?? []) item.hidden = !item.textContent.toLowerCase().includes(wanted);
});

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

// A log keeps its end in view as long as it is followed; who scrolls up does not follow any more, who reaches the end does.
const atEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
const follows = () => document.querySelector("[data-follow]");
const toEnd = () => {
  const log = document.querySelector("[data-log]");
  if (log && follows()?.checked) log.scrollTop = log.scrollHeight;
};
document.addEventListener("scroll", (event) => {
  if (event.target.matches?.("[data-log]") && follows()) follows().checked = atEnd(event.target);
}, true);
document.addEventListener("change", (event) => { if (event.target.matches("[data-follow]")) toEnd(); });
document.addEventListener("htmx:sseMessage", (event) => { if (event.target.matches("[data-log-live]")) toEnd(); });
document.addEventListener("htmx:oobAfterSwap", toEnd);
document.addEventListener("htmx:afterSettle", (event) => { if (event.target.querySelector?.("[data-log-live]")) toEnd(); });
// A stream that begins again sends again what it has sent since the page was made.
document.addEventListener("htmx:sseOpen", (event) => { if (event.target.matches("[data-log-live]")) event.target.replaceChildren(); });
toEnd();

// A line that is there already is gone to without asking for the page again.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-line], .printed > a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const line = document.querySelector(link.hash);
  if (!line) return;
  event.preventDefault();
  const at = link.href;
  location.hash = link.hash;
  history.replaceState(null, "", at);
});
