// The tables of the feature store: rows that have all words of the search box.
function startFeatures() {
  const box = byId("registry-search");
  if (!box) return;
  const groups = [...document.querySelectorAll(".registry")].map((place) => ({
    place, rows: [...place.querySelectorAll("tbody tr")].map((row) => [row, row.textContent.toLowerCase()]),
  }));
  const all = groups.reduce((sum, group) => sum + group.rows.length, 0);
  const search = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { place, rows } of groups) {
      let mine = 0;
      for (const [row, text] of rows) {
        row.hidden = !words.every((word) => text.includes(word));
        mine += !row.hidden;
      }
      place.hidden = mine === 0;
      place.querySelector(".registry-count").textContent = mine.toLocaleString("en-US");
      shown += mine;
    }
    byId("registry-status").textContent = words.length
      ? `${shown.toLocaleString("en-US")} of ${all.toLocaleString("en-US")}` : "";
  };
  box.addEventListener("input", search);
}

