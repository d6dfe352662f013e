// Unpacks the charts and the library that draws them, then draws each chart in the
// colour scheme of the page, with the values that the reader chose above it. Charts in
// a fold are drawn when it is opened.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
let found;
let drawing;

// Returns the text of a script element that holds compressed text.
function unpack(name) {
  const packed = atob(document.getElementById(name).textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream();
  return new Response(stream.pipeThrough(new DecompressionStream("gzip"))).text();
}

// The value of a control. A slider counts indices, because values are not evenly spaced.
function value(control) {
  if (control.tagName === "FIELDSET") {
    return [...control.querySelectorAll(":checked")].map((box) => box.value);
  }
  if (control.type === "range") {
    return Number(control.dataset.values.split(" ")[control.value]);
  }
  return Number(control.value);
}

function choices(container) {
  const controls = container.closest("figure")?.querySelectorAll("[data-parameter]") ?? [];
  return new Map([...controls].map((control) => [control.dataset.parameter, value(control)]));
}

// Shows the value of a slider as text.
function showText(slider) {
  const text = slider.dataset.texts.split("|")[slider.value];
  slider.setAttribute("aria-valuetext", text);
  slider.nextElementSibling.textContent = text;
}

async function choose(event) {
  if (event.target.type === "range") showText(event.target);
  for (const container of event.target.closest("figure").querySelectorAll(".chart")) {
    for (const [name, chosen] of choices(container)) container.view?.signal(name, chosen);
    await container.view?.runAsync();
  }
}

async function draw(container, scheme) {
  const specification = structuredClone(found.charts[container.dataset.chart]);
  const chosen = choices(container);
  for (const parameter of specification.params ?? []) {
    if (chosen.has(parameter.name)) parameter.value = chosen.get(parameter.name);
  }
  container.finalize?.();
  try {
    const drawn = await vegaEmbed(container, specification, {
      actions: false,
      ast: true, // The page forbids eval, so expressions are interpreted.
      config: found.themes[scheme],
      renderer: "svg",
      tooltip: { theme: scheme },
    });
    container.finalize = drawn.finalize;
    container.view = drawn.view;
  } catch (error) {
    container.textContent = `This chart could not be drawn: ${error.message}`;
    container.classList.add("failed");
    console.error(error);
  }
  container.dataset.drawn = scheme;
}

// Draws the charts that are visible and not yet drawn in the page's colour scheme.
async function drawMissing() {
  const scheme = dark.matches ? "dark" : "light";
  for (const container of document.querySelectorAll(".chart")) {
    const folded = container.closest("details:not([open])");
    if (!folded && container.dataset.drawn !== scheme) await draw(container, scheme);
  }
  document.body.dataset.drawn = scheme;
}

// One pass follows another, so that no chart is drawn twice.
function drawVisible() {
  drawing = drawing.then(drawMissing);
}

async function start() {
  found = JSON.parse(await unpack("charts"));
  const library = document.createElement("script");
  library.textContent = await unpack("bundle");
  document.head.append(library);
  await drawMissing();
}

document.querySelectorAll(".controls [type=range]").forEach(showText);
document.addEventListener("input", choose);
document.addEventListener("toggle", drawVisible, true); // It does not bubble.
dark.addEventListener("change", drawVisible);
drawing = start();
