// Draws each chart from the specification beside it, in the colour scheme of the page,
// with the values that the reader chose in the controls above it.
const themes = JSON.parse(document.getElementById("themes").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");

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
  const controls = container.closest("figure").querySelectorAll("[data-parameter]");
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

async function draw(container) {
  const source = document.getElementById(container.dataset.source);
  const scheme = dark.matches ? "dark" : "light";
  const specification = JSON.parse(source.textContent);
  const chosen = choices(container);
  for (const parameter of specification.params ?? []) {
    if (chosen.has(parameter.name)) parameter.value = chosen.get(parameter.name);
  }
  try {
    const drawn = await vegaEmbed(container, specification, {
      actions: { export: true, source: false, compiled: false, editor: false },
      ast: true, // The page forbids eval, so expressions are interpreted.
      config: themes[scheme],
      downloadFileName: container.dataset.source,
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
}

async function drawAll() {
  for (const container of document.querySelectorAll(".chart")) {
    container.finalize?.();
    await draw(container);
  }
  document.body.dataset.drawn = dark.matches ? "dark" : "light";
}

document.querySelectorAll(".controls [type=range]").forEach(showText);
document.addEventListener("input", choose);
dark.addEventListener("change", drawAll);
drawAll();
