// The charts: Plotly is unpacked and run when the first one comes near the window.
const plots = [...document.querySelectorAll(".plot")];
const drawn = new Set();
let plotly = null;

function loadPlotly() {
  plotly = plotly || (async () => {
    const packed = Uint8Array.from(atob(byId("plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    // The page's policy knows the hash of this text, and lets no other script run.
    document.head.append(made("script", { textContent: await new Response(stream).text() }));
    return window.Plotly;
  })();
  return plotly;
}

const color = (name) => getComputedStyle(page).getPropertyValue(`--${name}`).trim();
const NAMES = ["good", "bad", "warn", "quiet", "s0", "s1", "s2", "s3"];

// Names of colours become colours, wherever they stand.
function painted(value, key) {
  if (Array.isArray(value)) return value.map((one) => painted(one, key));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, painted(v, k)]));
  }
  if (key === "color" && NAMES.includes(value)) return color(value);
  if (value === "cells") return [[0, color("quiet-tint")], [1, color("s0")]];
  return value;
}

function layoutOf(given) {
  const axis = {
    gridcolor: color("line"), zerolinecolor: color("line"), linecolor: color("line"),
    automargin: true, tickfont: { size: 11.5 }, title: { font: { size: 12 }, standoff: 8 },
  };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: color("soft") },
    margin: { l: 52, r: 12, t: 10, b: 44 }, colorway: ["s0", "s1", "s2", "s3"].map(color),
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
    // A finger that moves over a chart scrolls the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    hoverlabel: { bgcolor: color("card"), bordercolor: color("line"), font: { color: color("ink") } },
    ...painted(given),
  };
  for (const name of ["xaxis", "yaxis"]) {
    layout[name] = { ...axis, ...given[name], title: { ...axis.title, ...given[name].title } };
  }
  return layout;
}

async function draw(plot) {
  const library = await loadPlotly();
  const figure = json(plot.dataset.figure);
  const config = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };
  await library.react(plot, painted(figure.data), layoutOf(figure.layout), config);
  drawn.add(plot);
}

const drawAll = () => Promise.all(plots.map(draw));
const redraw = () => Promise.all([...drawn].map(draw));

// What nobody has scrolled to yet: drawn one by one, so that it is there when the page is printed.
async function drawRest() {
  for (const plot of plots) {
    if (!drawn.has(plot)) await draw(plot);
    await new Promise((go) => setTimeout(go, 50));
  }
}

function startCharts() {
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !drawn.has(entry.target)) {
        watcher.unobserve(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "600px" });
  plots.forEach((plot) => watcher.observe(plot));
  setTimeout(drawRest, 1000);
  addEventListener("beforeprint", drawAll);
}
