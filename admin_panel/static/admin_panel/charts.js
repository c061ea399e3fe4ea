// The dashboard's charts, drawn by the theme's own Chart.js, in the colours of the moment's theme.

import { element, number } from "./panel.js";

const { Chart } = window;
const MIB = 1024 * 1024;

// [title, unit, [[name in the picture, its words]…], what the value is multiplied with]
const CHARTS = [
  ["Clients", "", [["connections", "connected"]]],
  ["Messages", "a second", [["messages_in", "in"], ["messages_out", "out"]]],
  ["Post to acknowledgement", "ms", [["latency_p50", "p50"], ["latency_p99", "p99"]]],
  ["Lag of the event loop", "ms", [["lag_p50", "p50"], ["lag_p99", "p99"]]],
  ["Comings and goings", "a second", [["opened", "opened"], ["closed", "closed"]]],
  ["Trouble", "a second", [["errors", "errors"], ["drops", "drops"], ["rate_limited", "rate limited"], ["slow_readers", "slow readers"]]],
  ["CPU", "% of a core", [["cpu", "all servers"]]],
  ["Memory", "MiB", [["memory", "all servers"]], 1 / MIB],
];
const LIGHT = { lines: ["#0f766e", "#6366f1", "#b45309", "#be123c"], grid: "rgba(99,93,85,.16)", text: "#635d55" };
const DARK = { lines: ["#2dd4bf", "#a5b4fc", "#fbbf24", "#fb7185"], grid: "rgba(170,163,152,.16)", text: "#aaa398" };

const two = (value) => String(value).padStart(2, "0");
const minute = (at) => {
  const time = new Date(at);
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
};
const theme = () => (document.documentElement.classList.contains("dark") ? DARK : LIGHT);

function chart(home, [title, unit, series]) {
  const canvas = element("canvas", { role: "img", "aria-label": title });
  const latest = element("small", {}, "");
  home.append(element(
    "section", { class: "panel-chart" },
    element("h3", {}, title, unit ? " " : "", unit ? element("small", {}, unit) : "", " ", latest),
    element("div", { class: "panel-canvas" }, canvas),
  ));
  const drawn = new Chart(canvas, {
    type: "line",
    data: { datasets: series.map(([, words]) => ({ label: words, data: [], pointRadius: 0, borderWidth: 1.5, cubicInterpolationMode: "monotone" })) },
    options: {
      animation: false,
      parsing: false,
      normalized: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { display: series.length > 1, position: "bottom", labels: { boxWidth: 10, boxHeight: 2, padding: 10, font: { size: 11 } } },
        tooltip: { callbacks: { title: ([item]) => minute(item.parsed.x), label: ({ dataset, parsed }) => `${dataset.label}: ${number(parsed.y)} ${unit}` } },
      },
      scales: {
        x: { type: "linear", ticks: { maxTicksLimit: 4, maxRotation: 0, callback: minute, font: { size: 10.5 } }, border: { display: false } },
        y: { beginAtZero: true, suggestedMax: 1, grace: "5%", ticks: { maxTicksLimit: 5, font: { size: 10.5 }, callback: number }, border: { display: false } },
      },
    },
  });
  return { drawn, canvas, title };
}

function paint({ drawn }) {
  const { lines, grid, text } = theme();
  drawn.data.datasets.forEach((dataset, index) => (dataset.borderColor = dataset.backgroundColor = lines[index]));
  for (const axis of Object.values(drawn.options.scales)) {
    axis.grid = { color: grid };
    axis.ticks.color = text;
  }
  drawn.options.plugins.legend.labels.color = text;
}

/** All charts, in `home`. show(points, now, range): the points of the last `range` ms. */
export function charts(home) {
  const all = CHARTS.map((settings) => ({ ...chart(home, settings), settings }));
  all.forEach(paint);
  new MutationObserver(() => all.forEach((each) => (paint(each), each.drawn.update()))).observe(
    document.documentElement, { attributeFilter: ["class"] },
  );
  return {
    show(points, now, range) {
      const seen = points.filter((point) => point.time >= now - range);
      for (const { drawn, canvas, title, settings } of all) {
        const [, unit, series, factor = 1] = settings;
        series.forEach(([name], index) => {
          drawn.data.datasets[index].data = seen.map((point) => ({ x: point.time, y: point[name] * factor }));
        });
        Object.assign(drawn.options.scales.x, { min: now - range, max: now });
        const last = seen.at(-1);
        const words = last ? series.map(([name, what]) => `${what} ${number(last[name] * factor)}`).join(", ") : "nothing yet";
        canvas.setAttribute("aria-label", `${title}: ${words} ${unit}`);
        canvas.dataset.points = String(seen.length);
        drawn.update("none");
      }
    },
  };
}
