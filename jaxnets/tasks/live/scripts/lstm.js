// An LSTM in plain JavaScript, with the weights that Python wrote into the page. It
// computes what jaxnets.functional.lstm_step computes:
//
//   z = b + x W_xh + h W_hh, cut into four parts for the gates i, f, g, o
//   c' = sigmoid(f) c + sigmoid(i) tanh(g),   h' = sigmoid(o) tanh(c')
//
// Matrices are stored row by row, so that element (row, column) of one with `columns`
// columns is at row * columns + column.

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
function unpack({ dtype, data }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
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

class LSTM {
  constructor(weights) {
    this.layers = weights.layers.map((layer) => ({
      inputs: unpack(layer.w_xh),
      recurrent: unpack(layer.w_hh),
      bias: unpack(layer.b),
      hidden: layer.w_hh.shape[0],
    }));
    this.kernel = unpack(weights.output.kernel);
    this.bias = unpack(weights.output.bias);
  }

  // The state before the first step: h and c of each layer.
  start() {
    return this.layers.map(({ hidden }) => ({
      h: new Float64Array(hidden),
      c: new Float64Array(hidden),
    }));
  }

  // Returns [the state after the input x, the outputs of the linear layer]. The state
  // that was given stays as it is.
  step(state, x) {
    let values = x;
    const after = this.layers.map((layer, number) => {
      const made = stepOfLayer(layer, state[number], values);
      values = made.h;
      return made;
    });
    return [after, affine(this.bias, values, this.kernel)];
  }
}

function stepOfLayer({ inputs, recurrent, bias, hidden }, { h, c }, x) {
  const z = affine(affine(bias, x, inputs), h, recurrent);
  const after = { h: new Float64Array(hidden), c: new Float64Array(hidden) };
  for (let k = 0; k < hidden; k++) {
    const input = sigmoid(z[k]);
    const forget = sigmoid(z[hidden + k]);
    const candidate = Math.tanh(z[2 * hidden + k]);
    const output = sigmoid(z[3 * hidden + k]);
    after.c[k] = forget * c[k] + input * candidate;
    after.h[k] = output * Math.tanh(after.c[k]);
  }
  return after;
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

const { weights, settings } = JSON.parse(document.getElementById("data").textContent);
const network = new LSTM(weights);
