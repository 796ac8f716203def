// Draws the charts of the page. Colours follow the reader's preference for light or dark; the values and what
// they are drawn as stand beside each chart. `data-drawn` and `data-failed` of the document count charts.
"use strict";
(() => {
  // After Okabe and Ito, told apart with any colour vision; brighter on dark ground.
  const COLOURS = {
    light: ["#0072b2", "#d55e00", "#009e73", "#b5488f", "#b87a00", "#3a9ad9", "#5b4b9e", "#6b6b6b"],
    dark: ["#4aa8e8", "#f08a3c", "#2fc79a", "#e08cc4", "#e6b422", "#8fd0f7", "#a99af0", "#b4b4b4"],
  };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const charts = [...document.querySelectorAll(".chart")];
  const read = (chart) => JSON.parse(chart.parentElement.querySelector("script").textContent);

  function config() {
    const style = getComputedStyle(document.documentElement);
    const [ink, soft, line] = ["--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
    const text = { labelColor: soft, titleColor: soft, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    return {
      background: "transparent",
      font: getComputedStyle(document.body).fontFamily,
      view: { stroke: "transparent" },
      axis: { ...text, gridColor: line, domainColor: line, tickColor: line },
      legend: { ...text, labelColor: ink, symbolStrokeWidth: 2, symbolOpacity: 1 },
      header: { labelColor: ink, titleColor: soft, labelFontSize: 12, labelFontWeight: 600 },
      range: { category: COLOURS[dark.matches ? "dark" : "light"] },
      rule: { color: ink },
      text: { color: ink },
    };
  }

  function colourTables() {
    const colours = COLOURS[dark.matches ? "dark" : "light"];
    document.querySelectorAll("section").forEach((section) => {
      const swatches = [...section.querySelectorAll(".swatch")];
      const methods = [...new Set(swatches.map((swatch) => swatch.dataset.method))];
      swatches.forEach((swatch) => {
        swatch.style.background = colours[methods.indexOf(swatch.dataset.method) % colours.length];
      });
    });
  }

  async function draw() {
    colourTables();
    const counts = { drawn: 0, failed: 0 };
    for (const chart of charts) {
      try {
        await vegaEmbed(chart, read(chart), {
          mode: "vega-lite", renderer: "svg", config: config(), downloadFileName: chart.dataset.name,
          actions: { export: { svg: true, png: false }, source: false, compiled: false, editor: false },
          tooltip: { theme: dark.matches ? "dark" : "light" },
        });
        counts.drawn += 1;
      } catch (error) {
        counts.failed += 1;
        chart.classList.add("failed");
        chart.textContent = `This chart could not be drawn: ${error.message}`;
        console.error(chart.dataset.name, error);
      }
    }
    Object.assign(document.documentElement.dataset, counts);
  }

  dark.addEventListener("change", draw);
  draw();
})();
