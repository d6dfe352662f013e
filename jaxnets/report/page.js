// Draws each chart from the description beside it, in the page's colour scheme.
const themes = JSON.parse(document.getElementById("themes").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

async function draw(container) {
  const source = document.getElementById(container.dataset.source);
  const scheme = dark.matches ? "dark" : "light";
  try {
    const drawn = await vegaEmbed(container, JSON.parse(source.textContent), {
      actions: { export: true, source: false, compiled: false, editor: false },
      ast: true, // The page forbids eval, so expressions are interpreted.
      config: themes[scheme],
      downloadFileName: container.dataset.source,
      renderer: "svg",
      tooltip: { theme: scheme },
    });
    container.finalize = drawn.finalize;
  } catch (error) {
    container.textContent = `This chart could not be drawn: ${error.message}`;
    container.classList.add("failed");
    console.error(error);
  }
}

async function drawAll() {
  for (const container of document.querySelectorAll(".chart")) {
    container.finalize?.();
    await draw(container);
  }
  document.body.dataset.drawn = dark.matches ? "dark" : "light";
}

dark.addEventListener("change", drawAll);
drawAll();
