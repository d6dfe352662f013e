// A residual network in plain JavaScript, with the weights that Python wrote into the
// page. It computes what jaxnets.models.ResNet computes in evaluation mode, where each
// BatchNorm is part of the convolution before it:
//
//   stem    x = relu(C(x))
//   blocks  x = relu(shortcut(x) + C_2(relu(C_1(x))))
//   output  (mean of x over rows and columns) W + b
//
// A feature map is { size, channels, values }, with as many rows as columns. The element
// (row, column, channel) of its values is at (row * size + column) * channels + channel.

class ResNet {
  constructor({ stem, blocks, output }) {
    this.stem = unpackLayer(stem);
    this.blocks = blocks.map(({ first, second, strides }) => ({
      first: unpackLayer(first),
      second: unpackLayer(second),
      strides,
    }));
    this.output = unpackLayer(output);
  }

  // Returns the logits of the classes. `image` is a feature map.
  logits(image) {
    let x = relu(convolve(image, this.stem, 1));
    for (const { first, second, strides } of this.blocks) {
      const branch = convolve(relu(convolve(x, first, strides)), second, 1);
      x = relu(addShortcut(branch, x, strides));
    }
    return affine(this.output.bias, meanOf(x), this.output.kernel);
  }
}

function unpackLayer({ kernel, bias }) {
  return { shape: kernel.shape, kernel: unpack(kernel), bias: unpack(bias) };
}

function relu({ values, ...map }) {
  return { ...map, values: values.map((value) => Math.max(value, 0)) };
}

// A convolution with padding "SAME": an odd element of padding goes to the high end.
function convolve({ size, channels, values }, { shape, kernel, bias }, strides) {
  const [side, , , outputs] = shape;
  const outSize = Math.ceil(size / strides);
  const padding = Math.floor(Math.max((outSize - 1) * strides + side - size, 0) / 2);
  const result = new Float64Array(outSize * outSize * outputs);
  const inside = (place) => place >= 0 && place < size;
  for (let position = 0; position < outSize * outSize; position++) {
    const top = Math.floor(position / outSize) * strides - padding;
    const left = (position % outSize) * strides - padding;
    let sums = bias;
    for (let tap = 0; tap < side * side; tap++) {
      const [row, column] = [top + Math.floor(tap / side), left + (tap % side)];
      if (!inside(row) || !inside(column)) continue;
      const at = (row * size + column) * channels;
      const weights = kernel.subarray(tap * channels * outputs, (tap + 1) * channels * outputs);
      sums = affine(sums, values.subarray(at, at + channels), weights);
    }
    result.set(sums, position * outputs);
  }
  return { size: outSize, channels: outputs, values: result };
}

// Adds what the shortcut carries: every n-th row and column. Channels that x does not
// have are zero in it.
function addShortcut(branch, x, strides) {
  const values = branch.values.slice();
  for (let position = 0; position < branch.size ** 2; position++) {
    const row = Math.floor(position / branch.size) * strides;
    const column = (position % branch.size) * strides;
    for (let channel = 0; channel < x.channels; channel++) {
      values[position * branch.channels + channel] += x.values[(row * x.size + column) * x.channels + channel];
    }
  }
  return { ...branch, values };
}

// The mean of each channel.
function meanOf({ size, channels, values }) {
  const means = new Float64Array(channels);
  values.forEach((value, k) => (means[k % channels] += value / size ** 2));
  return means;
}

const network = new ResNet(weights);
