// An LSTM in plain JavaScript, with the weights that Python wrote into the page. It
// computes what jaxnets.functional.lstm_step computes:
//
//   z = b + x W_xh + h W_hh, cut into four parts for the gates i, f, g, o
//   c' = sigmoid(f) c + sigmoid(i) tanh(g),   h' = sigmoid(o) tanh(c')

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

const network = new LSTM(weights);
