/* Draws the charts of `{% chart %}` with Chart.js: on load, after htmx swaps a part of the page, and again when the
   theme changes, since the colors are properties of the style sheet. */
(() => {
  "use strict";

  const CHARTS = new Map();
  const ROW_HEIGHT = 26;
  const NAME_HEIGHT = 14;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 2 });
  const small = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
  const short = (value) => (Math.abs(value) < 1 ? small : compact).format(value);

  const hatched = (color) => {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const pen = tile.getContext("2d");
    pen.globalAlpha = 0.25;
    pen.fillStyle = color;
    pen.fillRect(0, 0, 8, 8);
    pen.globalAlpha = 1;
    pen.strokeStyle = color;
    pen.lineWidth = 2;
    pen.beginPath();
    for (const start of [-8, 0, 8]) {
      pen.moveTo(start, 8);
      pen.lineTo(start + 8, 0);
    }
    pen.stroke();
    return pen.createPattern(tile, "repeat");
  };

  const isUprightMark = (mark, indexAxis) => mark.isVertical !== (indexAxis === "y");
  const uprights = (marks, indexAxis) => marks.filter((mark) => isUprightMark(mark, indexAxis));

  /* Dashed lines with their names, such as the free units. Names of upright lines are one below the other, above the
     chart. */
  const marks = {
    id: "marks",
    afterDatasetsDraw(chart) {
      const { ctx, chartArea: area, options } = chart;
      const taken = []; // heights with a name, which another name would cover
      let above = uprights(options.marks, options.indexAxis).length;
      for (const mark of options.marks) {
        const isUpright = isUprightMark(mark, options.indexAxis);
        const at = chart.scales[isUpright ? "x" : "y"].getPixelForValue(mark.value);
        ctx.save();
        ctx.strokeStyle = ctx.fillStyle = css("--ch-text");
        ctx.setLineDash([5, 4]);
        ctx.beginPath();
        ctx.moveTo(isUpright ? at : area.left, isUpright ? area.top : at);
        ctx.lineTo(isUpright ? at : area.right, isUpright ? area.bottom : at);
        ctx.stroke();
        ctx.font = "11px Inter";
        ctx.textBaseline = "bottom";
        if (isUpright) {
          const width = ctx.measureText(mark.name).width;
          const places = [at + 5, at - 5 - width].filter((x) => x >= area.left && x + width <= area.right);
          ctx.textAlign = "left";
          ctx.fillText(mark.name, places[0] ?? Math.max(0, area.right - width), area.top - NAME_HEIGHT * --above);
        } else if (taken.every((other) => Math.abs(other - at) > 11)) {
          ctx.textAlign = "right";
          ctx.fillText(mark.name, area.right, at - 2);
          taken.push(at);
        }
        ctx.restore();
      }
    },
  };

  const linkOf = (spec, series, index) => spec.series[series].links[index] || spec.links[index] || "";

  /* The page of the value under the pointer; beside the values, the page of its label. */
  const linkAt = (spec, chart, event, elements) => {
    const [value] = chart.getElementsAtEventForMode(event.native, "nearest", { intersect: true }, true);
    if (value) return linkOf(spec, value.datasetIndex, value.index);
    return (elements.length && spec.links[elements[0].index]) || "";
  };

  /* A value of a waterfall is the two ends of its bar. */
  const dataOf = (spec, series) => {
    if (spec.positions.length) return series.values.map((y, index) => ({ x: spec.positions[index], y }));
    if (!series.starts.length) return series.values;
    return series.values.map((value, index) => [series.starts[index], series.starts[index] + value]);
  };

  const dataset = (spec) => (series) => {
    const colors = series.colors.map(css);
    const color = colors.length > 1 ? colors : colors[0];
    const isLine = series.isLine || spec.kind !== "bar";
    const isNumeric = spec.positions.length > 0;
    return {
      type: isLine ? "line" : "bar",
      label: series.name,
      data: dataOf(spec, series),
      texts: series.texts,
      backgroundColor: series.isHatched ? hatched(color) : color,
      borderColor: color,
      borderWidth: isLine ? 2 : series.isHatched ? 1 : 0,
      borderDash: isLine && series.isHatched ? [5, 4] : [],
      borderRadius: spec.isStacked ? 0 : 2,
      maxBarThickness: spec.isHorizontal ? 18 : 36,
      order: isLine ? 0 : 1,
      pointRadius: isNumeric || series.values.length > 31 ? 0 : 3,
      pointHitRadius: 12,
      stack: isLine ? series.name : spec.isStacked ? "all" : series.name,
      stepped: spec.kind === "steps" ? "before" : false,
    };
  };

  const options = (spec) => {
    const quiet = css("--ch-quiet");
    const grid = { color: css("--ch-line") };
    const title = { display: Boolean(spec.unit), text: spec.unit, color: quiet };
    const labels = {
      stacked: spec.isStacked,
      grid: { display: false },
      ticks: { color: quiet, maxRotation: 0, autoSkipPadding: 12, autoSkip: !spec.isHorizontal },
    };
    if (spec.positions.length) {
      labels.type = "linear";
      labels.ticks = { color: quiet, maxRotation: 0, callback: short };
    }
    const values = {
      stacked: spec.isStacked && spec.kind === "bar",
      beginAtZero: true,
      border: { display: false },
      grid,
      grace: spec.marks.length ? "8%" : 0,
      suggestedMax: Math.max(0, ...spec.marks.filter((mark) => !mark.isVertical).map((mark) => mark.value)),
      ticks: { color: quiet, maxTicksLimit: 6, callback: short },
      title,
    };
    return {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      indexAxis: spec.isHorizontal ? "y" : "x",
      interaction: { mode: "index", axis: spec.isHorizontal ? "y" : "x", intersect: false },
      marks: spec.marks,
      layout: { padding: { top: NAME_HEIGHT * uprights(spec.marks, spec.isHorizontal ? "y" : "x").length } },
      onClick: (event, elements, chart) => {
        const link = linkAt(spec, chart, event, elements);
        if (link) window.location = link;
      },
      onHover: (event, elements, chart) => {
        event.native.target.classList.toggle("ch-clickable", Boolean(linkAt(spec, chart, event, elements)));
      },
      plugins: {
        legend: {
          display: spec.series.length > 1,
          align: "end",
          labels: { boxHeight: 10, boxWidth: 10, color: quiet },
        },
        tooltip: {
          filter: (item) => item.raw !== null && item.raw !== 0,
          callbacks: { label: (item) => ` ${item.dataset.label}: ${item.dataset.texts[item.dataIndex]}` },
        },
      },
      scales: spec.isHorizontal ? { x: values, y: labels } : { x: labels, y: values },
    };
  };

  /* The series of a label whose values aren't zero and have a page. */
  const choices = (spec, index) =>
    [...spec.series.keys()].filter((series) => spec.series[series].values[index] && linkOf(spec, series, index));

  /* Arrow keys move to the next label with a page, or to another value of the same label. */
  const step = (spec, place, key) => {
    const by = ["ArrowRight", spec.isHorizontal ? "ArrowDown" : "ArrowUp"].includes(key) ? 1 : -1;
    const isAlong = (key === "ArrowUp" || key === "ArrowDown") === spec.isHorizontal;
    const here = choices(spec, place.index);
    if (!isAlong) return { ...place, series: here.at((here.indexOf(place.series) + by) % here.length) };
    let index = place.index + by;
    while (index in spec.labels && !choices(spec, index).length) index += by;
    if (!(index in spec.labels)) return place;
    const next = choices(spec, index);
    return { index, series: next.includes(place.series) ? place.series : next[0] };
  };

  const choose = (canvas, spec, place) => {
    const chart = CHARTS.get(canvas);
    const elements = [{ datasetIndex: place.series, index: place.index }];
    const { x, y } = chart.getDatasetMeta(place.series).data[place.index];
    chart.setActiveElements(elements);
    chart.tooltip.setActiveElements(elements, { x, y });
    chart.update();
    const { name, texts } = spec.series[place.series];
    canvas.nextElementSibling.textContent = `${spec.labels[place.index]}, ${name}: ${texts[place.index]}`;
    canvas.place = place;
  };

  const onKey = (event) => {
    const canvas = event.currentTarget;
    const spec = JSON.parse(canvas.dataset.chart);
    if (event.key === "Enter" && canvas.place) {
      window.location = linkOf(spec, canvas.place.series, canvas.place.index);
    } else if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      const first = spec.labels.findIndex((label, index) => choices(spec, index).length);
      if (canvas.place) choose(canvas, spec, step(spec, canvas.place, event.key));
      else if (first >= 0) choose(canvas, spec, { index: first, series: choices(spec, first)[0] });
    }
  };

  const draw = (canvas) => {
    if (canvas.tabIndex === 0) canvas.onkeydown = onKey;
    const spec = JSON.parse(canvas.dataset.chart);
    if (spec.isHorizontal) canvas.parentElement.style.height = `${spec.labels.length * ROW_HEIGHT + 70}px`;
    Chart.defaults.font.family = "Inter, sans-serif";
    CHARTS.get(canvas)?.destroy();
    CHARTS.set(
      canvas,
      new Chart(canvas, {
        type: spec.kind === "bar" ? "bar" : "line",
        data: { labels: spec.labels, datasets: spec.series.map(dataset(spec)) },
        options: options(spec),
        plugins: [marks],
      }),
    );
  };

  const drawWithin = (root) => root.querySelectorAll("canvas[data-chart]").forEach(draw);

  const drawAgain = () => {
    for (const [canvas, chart] of CHARTS) {
      if (canvas.isConnected) {
        draw(canvas);
      } else {
        chart.destroy();
        CHARTS.delete(canvas);
      }
    }
  };

  window.addEventListener("load", () => {
    drawWithin(document);
    new MutationObserver(drawAgain).observe(document.documentElement, { attributeFilter: ["class"] });
  });
  document.addEventListener("htmx:afterSettle", (event) => drawWithin(event.detail.elt));
})();
