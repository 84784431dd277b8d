"use strict";
// The page: theme, place in the navigation. Text from data is only ever set as text.
const byId = (id) => document.getElementById(id);
const json = (id) => JSON.parse(byId(id).textContent);

function made(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const page = document.documentElement;
const button = byId("theme");
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (page.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";

function themed() {
  button.textContent = isDark() ? "Light page" : "Dark page";
  button.setAttribute("aria-pressed", String(isDark()));
  redraw();
}

function startTheme() {
  try {  // a sandboxed frame has no storage
    const kept = localStorage.getItem("beamfleet-theme");
    if (kept === "dark" || kept === "light") page.dataset.theme = kept;
  } catch (_) { /* nothing is kept */ }
  button.hidden = false;
  button.addEventListener("click", () => {
    page.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("beamfleet-theme", page.dataset.theme); } catch (_) { /* as above */ }
    themed();
  });
  prefersDark.addEventListener("change", themed);
}

function startNavigation() {
  for (const graph of document.querySelectorAll(".graph")) {  // its middle, where it is too wide
    graph.scrollLeft = (graph.scrollWidth - graph.clientWidth) / 2;
  }
  const links = new Map([...document.querySelectorAll("#nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) seen.add(entry.target.id); else seen.delete(entry.target.id);
    }
    const first = [...links.keys()].find((id) => seen.has(id));
    for (const [id, link] of links) {
      if (id === first) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
  }, { rootMargin: "-10% 0px -60% 0px" });
  document.querySelectorAll("main > .section").forEach((section) => watcher.observe(section));
}
