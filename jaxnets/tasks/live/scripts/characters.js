// The page on which a person writes and the network goes on. What was read is kept as
// one entry for each character, so that typing at the end costs one step.

const typed = document.getElementById("typed");
const temperature = document.getElementById("temperature");
const alphabet = settings.alphabet.map((code) => String.fromCodePoint(code));
const idOf = new Map(alphabet.map((character, id) => [character, id]));
const MADE = 160;
const CANDIDATES = 8;
let made = "";

// Reads a character: returns the state after it and the logits of the next one.
function readCharacter(state, character) {
  const x = new Float64Array(alphabet.length);
  x[idOf.get(character)] = 1;
  const [after, logits] = network.step(state, x);
  return { character, state: after, logits };
}

// A text begins after a new line, as in `jaxnets sample`.
const first = readCharacter(network.start(), idOf.has("\n") ? "\n" : alphabet[0]);
const read = [];

// Reads characters, from where they differ from those that were read before.
function readAll(characters) {
  let same = 0;
  while (same < characters.length && read[same]?.character === characters[same]) same += 1;
  read.length = same;
  for (const character of characters.slice(same)) {
    const before = read.at(-1) ?? first;
    const entry = readCharacter(before.state, character);
    entry.chance = softmax(before.logits)[idOf.get(character)];
    read.push(entry);
  }
}

// Writes until the end of a text, if it has one, but at most `MADE` characters.
function goOn() {
  let entry = read.at(-1) ?? first;
  made = "";
  const ended = () => settings.end && made.endsWith(settings.end);
  for (let k = 0; k < MADE && !ended(); k++) {
    const character = alphabet[choose(softmax(entry.logits, Number(temperature.value)))];
    made += character;
    entry = readCharacter(entry.state, character);
  }
}

const nameOf = (character) => ({ "\n": "new line", " ": "space", "\t": "tab" })[character] ?? character;

function show(unknown) {
  const shown = read.map(({ character, chance }) => {
    const span = element("span", character, { "data-chance": chance, title: percent(chance) });
    // 0 % of colour for a certain character, all of it for one of 1 in 1000 or fewer.
    const surprise = Math.min(-Math.log10(chance) / 3, 1);
    span.style.setProperty("--surprise", `${100 * surprise}%`);
    return span;
  });
  document.getElementById("shown").replaceChildren(...shown, element("span", made, { class: "model" }));
  const nats = read.reduce((sum, { chance }) => sum - Math.log(chance), 0) / (read.length || 1);
  document.getElementById("said").textContent =
    (read.length ? `${nats.toFixed(2)} nats a character of your text.` : "") +
    (unknown.size ? ` Left out, because the network does not know it: ${[...unknown].join(" ")}` : "");
  const chances = softmax((read.at(-1) ?? first).logits);
  const likeliest = chances.map((chance, id) => [chance, alphabet[id]]).sort((a, b) => b[0] - a[0]);
  const rows = likeliest.slice(0, CANDIDATES).map(([chance, character]) => chanceRow(nameOf(character), chance));
  document.getElementById("next").replaceChildren(...rows);
}

function update() {
  const characters = [...typed.value];
  readAll(characters.filter((character) => idOf.has(character)));
  goOn();
  show(new Set(characters.filter((character) => !idOf.has(character))));
}

typed.addEventListener("input", update);
temperature.addEventListener("input", () => {
  showValue(temperature);
  update();
});
document.getElementById("again").addEventListener("click", update);
document.getElementById("keep").addEventListener("click", () => {
  typed.value += made;
  update();
});
document.getElementById("clear").addEventListener("click", () => {
  typed.value = "";
  update();
});
update();
