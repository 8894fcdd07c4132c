// What HTML and htmx do not do by themselves. Without this file everything on the page still works; it is only not live.
"use strict";

(() => {
  const PAUSED = "dibs-paused";
  const element = (id) => document.getElementById(id);
  const isLive = (event) => event.detail.ctx?.sourceElement.hasAttribute("data-live");

  // Whoever reads can stop what moves (WCAG 2.2.2); a page that nobody sees asks for nothing.
  const isPaused = () => sessionStorage.getItem(PAUSED) === "1";
  const showSwitch = () => {
    const button = element("live-switch");
    if (!button) return;
    button.hidden = false;
    button.setAttribute("aria-pressed", String(!isPaused()));
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest("#live-switch") === null) return;
    sessionStorage.setItem(PAUSED, isPaused() ? "0" : "1");
    showSwitch();
  });
  document.addEventListener("htmx:before:request", (event) => {
    if (isLive(event) && (isPaused() || document.hidden)) event.preventDefault();
  });
  showSwitch();

  // What is shown may be old: say since when.
  let seen = new Date();
  const isOld = (event) => {
    if (!isLive(event)) return;
    element("stale-since").dateTime = seen.toISOString();
    element("stale-since").textContent = seen.toLocaleTimeString();
    element("stale").hidden = false;
  };
  document.addEventListener("htmx:error", isOld);
  document.addEventListener("htmx:response:error", isOld);
  document.addEventListener("htmx:after:swap", (event) => {
    if (!isLive(event) || event.detail.ctx.response.status >= 400) return;
    seen = new Date();
    element("stale").hidden = true;
  });

  // Point at a minute in either chart, and both say what was in it.
  const tell = (text) => {
    for (const readout of document.querySelectorAll(".readout")) readout.textContent = text;
  };
  document.addEventListener("pointerover", (event) => tell(event.target.dataset?.told ?? ""));

  // A filter applies as soon as it changes.
  document.addEventListener("change", (event) => {
    if (event.target.form?.hasAttribute("data-auto")) event.target.form.requestSubmit();
  });
})();
