// What the scripts of several pages use. Matrices are stored row by row, so that element
// (row, column) of one with `columns` columns is at row * columns + column.

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

// A number of 16 bits: 1 of sign, 5 of exponent, 10 of fraction.
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// The array of { shape, dtype, data }, whose data is base64 of little-endian numbers.
// With a scale, those of a column are multiplied by its element of the scale.
function unpack({ dtype, data, scale }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  if (dtype === "int8") {
    const factors = unpack(scale);
    return Float32Array.from(new Int8Array(bytes.buffer), (step, k) => step * factors[k % factors.length]);
  }
  if (dtype === "float32") {
    return Float32Array.from({ length: bytes.length / 4 }, (_, k) => view.getFloat32(4 * k, true));
  }
  return Float32Array.from({ length: bytes.length / 2 }, (_, k) => fromHalf(view.getUint16(2 * k, true)));
}

// Returns start + x matrix. Elements of x that are zero cost nothing, which is most of
// them if x says which character comes.
function affine(start, x, matrix) {
  const result = Float64Array.from(start);
  const columns = result.length;
  for (let row = 0; row < x.length; row++) {
    if (x[row] === 0) continue;
    const at = row * columns;
    for (let column = 0; column < columns; column++) {
      result[column] += x[row] * matrix[at + column];
    }
  }
  return result;
}

// The probabilities of a softmax of logits that are divided by a temperature above 0.
function softmax(logits, temperature = 1) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp((logit - most) / temperature));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

// Draws an index with the given probabilities.
function choose(chances) {
  let left = Math.random();
  for (let index = 0; index < chances.length; index++) {
    left -= chances[index];
    if (left < 0) return index;
  }
  return chances.length - 1;
}

// Shows the value of a slider beside it.
function showValue(slider) {
  slider.nextElementSibling.textContent = slider.value;
}

// An element with a text and attributes.
function element(name, text, attributes = {}) {
  const found = document.createElement(name);
  found.textContent = text;
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  return found;
}

const percent = (chance) => `${(100 * chance).toFixed(1)} %`;

// A row of a table: a name, its probability, and that as a bar.
function chanceRow(name, chance) {
  const bar = document.createElement("div");
  bar.style.width = `${100 * chance}%`;
  const cell = element("td", "", { class: "bar" });
  cell.append(bar);
  const row = document.createElement("tr");
  row.append(element("td", name), element("td", percent(chance)), cell);
  return row;
}

const { weights, settings } = JSON.parse(document.getElementById("data").textContent);
