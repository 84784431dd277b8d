// Shows the images that stand as JSON in this page. What is shown follows from the part of the
// address after #: wrong&q=red&order=least.
(() => {
  const byId = (id) => document.getElementById(id);
  const blocks = (name) => [...document.querySelectorAll(`script.${name}`)];
  const settings = JSON.parse(byId("settings").textContent);
  const VIEWS = {
    all: () => true,
    right: (image) => image.match === 0,
    wrong: (image) => image.match !== null && image.match !== 0,
    low: (image) => image.confidence < settings.low,
    failed: () => false,
  };
  const ORDERS = {
    listed: null,
    least: (a, b) => a.confidence - b.confidence,
    most: (a, b) => b.confidence - a.confidence,
    name: (a, b) => collator.compare(a.name, b.name),
  };
  const collator = new Intl.Collator(undefined, { numeric: true });
  const count = new Intl.NumberFormat("en").format;

  const images = blocks("rows").flatMap((block, number) => {
    const { versions, rows } = JSON.parse(block.textContent);
    block.remove();
    return rows.map(([name, variant, captions, reference, match, version, slices], place) => ({
      name, variant, captions, reference, match, slices, versions: versions[version],
      confidence: captions.length ? captions[0][1] : 0, block: number, place,
    }));
  });
  const thumbnails = blocks("thumbnails");

  // Models that are the same for all images are named once, above them.
  function nameModelsOnce() {
    const different = new Set(images.map((image) => JSON.stringify(image.versions)));
    if (different.size !== 1) return;
    const models = Object.entries(images[0].versions).map(([stage, model]) => `${stage} by ${model}`);
    byId("models").textContent = models.join(", ");
    for (const image of images) image.versions = {};
  }

  // One block of thumbnails is cut into lines when the first of them is to be seen.
  function thumbnail({ block, place }) {
    if (!Array.isArray(thumbnails[block])) {
      const lines = thumbnails[block].textContent.split("\n");
      thumbnails[block].remove();
      thumbnails[block] = lines.slice(1); // the first line begins behind the tag, and is empty
    }
    return thumbnails[block][place];
  }

  // ---- what is to be shown ----
  let state = {};

  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    const fallback = images.length ? "all" : "failed";
    state = {
      view: Object.keys(VIEWS).find((view) => given.has(view)) ?? fallback,
      q: given.get("q") ?? "",
      variant: given.get("variant") ?? "",
      order: Object.hasOwn(ORDERS, given.get("order")) ? given.get("order") : "listed",
      page: Math.max(1, Number.parseInt(given.get("page") ?? "1", 10) || 1),
    };
  }

  function address(changes) {
    const { view, q, variant, order, page } = { ...state, page: 1, ...changes };
    const parts = view === "all" ? [] : [view];
    if (q) parts.push(`q=${encodeURIComponent(q)}`);
    if (variant) parts.push(`variant=${encodeURIComponent(variant)}`);
    if (order !== "listed") parts.push(`order=${order}`);
    if (page > 1) parts.push(`page=${page}`);
    return `#${parts.join("&")}`;
  }

  function go(changes) {
    history.replaceState(null, "", address(changes));
    show();
  }

  function words(image) {
    image.words ??= [
      image.name, image.variant, image.reference ?? "",
      ...image.captions.map(([text]) => text),
      ...Object.entries(image.slices).map(([name, value]) => `${name}:${value}`),
    ].join("\n").toLowerCase();
    return image.words;
  }

  function found() {
    const terms = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = images.filter((image) =>
      VIEWS[state.view](image)
      && (!state.variant || image.variant === state.variant)
      && terms.every((term) => words(image).includes(term)));
    return ORDERS[state.order] ? shown.sort(ORDERS[state.order]) : shown;
  }

  // ---- showing it ----
  function show() {
    readAddress();
    if (drawing && byId("status").getBoundingClientRect().top < 0) byId("status").scrollIntoView();
    const failed = state.view === "failed";
    byId("cards").hidden = failed;
    byId("failures").hidden = !failed;
    byId("order-choice").hidden = failed;
    if (failed) return showFailed();
    const matches = found();
    const pages = Math.max(1, Math.ceil(matches.length / settings.page));
    state.page = Math.min(state.page, pages);
    const first = (state.page - 1) * settings.page;
    fill(byId("cards"), matches.slice(first, first + settings.page));
    const range = pages > 1
      ? `, ${count(first + 1)} to ${count(Math.min(first + settings.page, matches.length))} here` : "";
    const low = state.view === "low" ? ` with a best caption below ${settings.low}` : "";
    say(`${part(matches.length, images.length)} images${low}${range}`);
    showControls(pages);
  }

  // A screen or two at once and the rest in the pauses, so that typing into the search is fluent.
  let drawing = 0;

  function fill(list, shown) {
    const ours = (drawing += 1);
    const more = (from) => {
      if (ours !== drawing || from >= shown.length) return;
      list.append(...shown.slice(from, from + settings.few).map(drawn));
      setTimeout(more, 0, from + settings.few);
    };
    list.replaceChildren();
    more(0);
  }

  function drawn(image) {
    return card(image, thumbnail(image));
  }

  function showFailed() {
    const terms = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...document.querySelectorAll("#failures tbody tr")];
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !terms.every((term) => text.includes(term));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    say(`${part(shown, rows.length)} failed images`);
    showControls(1);
  }

  function part(size, whole) {
    return size === whole ? count(whole) : `${count(size)} of ${count(whole)}`;
  }

  function say(text) {
    byId("status").textContent = text;
  }

  function showControls(pages) {
    for (const link of document.querySelectorAll("#views a")) {
      link.href = address({ view: link.dataset.view });
      if (link.dataset.view === state.view) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const current = document.querySelector("#views [aria-current]");
    byId("views").scrollLeft = current.offsetLeft - byId("views").offsetLeft - 16; // on a phone
    byId("failed-link").href = address({ view: "failed" });
    if (byId("query").value !== state.q) byId("query").value = state.q;
    byId("order").value = state.order;
    byId("variant").value = state.variant;
    for (const nav of document.querySelectorAll(".pages")) {
      nav.hidden = pages < 2;
      nav.replaceChildren(...(pages < 2 ? [] : pager(pages)));
    }
  }

  function pager(pages) {
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", "Page");
    for (let page = 1; page <= pages; page += 1) {
      choice.add(new Option(`Page ${page} of ${pages}`, page, false, page === state.page));
    }
    choice.addEventListener("change", () => turnTo(Number(choice.value)));
    return [step("Previous", state.page - 1, pages), choice, step("Next", state.page + 1, pages)];
  }

  function step(text, page, pages) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.disabled = page < 1 || page > pages;
    button.addEventListener("click", () => turnTo(page));
    return button;
  }

  function turnTo(page) {
    location.hash = address({ page }); // a step of the history; `hashchange` shows it
    byId("status").focus({ preventScroll: true });
    byId("status").scrollIntoView();
  }

  // ---- start ----
  function showScore() {
    const compared = images.filter((image) => image.match !== null).length;
    const right = images.filter(VIEWS.right).length;
    byId("score").textContent = `exact match ${(right / compared).toFixed(3)}: ${count(right)} of `
      + `${count(compared)} captions ${compared === 1 ? "is" : "are"} the reference`;
    byId("score").hidden = false;
  }

  function prepareControls() {
    const hasReferences = images.some((image) => image.match !== null);
    for (const link of document.querySelectorAll("#views a")) {
      const { view } = link.dataset;
      const size = view === "failed" ? settings.failed : images.filter(VIEWS[view]).length;
      link.querySelector("span").textContent = count(size);
      link.hidden = (view === "right" || view === "wrong") && !hasReferences;
    }
    const variants = [...new Set(images.map((image) => image.variant))].filter(Boolean).sort();
    byId("variant").append(...variants.map((variant) => new Option(variant, variant)));
    if (hasReferences) showScore();
    byId("variant-choice").hidden = variants.length < 2;
    let typing = 0;
    byId("query").addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => go({ q: byId("query").value }), 120);
    });
    for (const name of ["order", "variant"]) {
      byId(name).addEventListener("change", () => go({ [name]: byId(name).value }));
    }
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("controls").hidden = false;
    byId("failures-title").hidden = true; // the line above it says the same
  }

  nameModelsOnce();
  prepareControls();
  window.addEventListener("hashchange", show);
  show();
})();
