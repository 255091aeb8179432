// What predict.py does with a picture, in the browser: Pillow's resize, ONNX Runtime, calibration, heat map.
// `settings` comes from cnn/inference/static_page.py; images are rows of pixels, three bytes each.

async function readEmbedded(id) { // base64 of gzip, in the page itself
  const bytes = Uint8Array.from(atob(element(id).textContent.trim()), each => each.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function startSession() {
  const [code, wasm, model, features] = await Promise.all(["runtime", "wasm", "model", "features"].map(readEmbedded));
  const address = URL.createObjectURL(new Blob([code], {type: "text/javascript"}));
  const runtime = await import(address);
  URL.revokeObjectURL(address);
  runtime.env.wasm.numThreads = 1;
  runtime.env.wasm.wasmBinary = wasm.buffer;
  const session = await runtime.InferenceSession.create(model, {executionProviders: ["wasm"]});
  return {runtime, session, features: new Float32Array(features.buffer)};
}
const ready = startSession();
ready.catch(problem => showMessage(`The model cannot be started in this browser: ${problem.message}`));

function refuse(reason) { throw new Error(`This cannot be used: ${reason}.`); }

async function decode(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (!bytes.length) refuse("empty file; copy it again or remove it");
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes]), {colorSpaceConversion: "none", premultiplyAlpha: "none"});
  } catch { refuse("not a picture that this browser can read; save it as JPEG or PNG"); }
  const {width, height} = bitmap;
  if (Math.min(width, height) < settings.min_side) refuse(`${width} x ${height} pixels; a picture has at least ${settings.min_side} a side`);
  if (width * height > settings.max_pixels) refuse(`${width} x ${height} pixels; scale it down`);
  const context = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(3 * width * height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const alpha = rgba[4 * pixel + 3]; // laid over white
    for (let channel = 0; channel < 3; channel++)
      rgb[3 * pixel + channel] = Math.round((rgba[4 * pixel + channel] * alpha + 255 * (255 - alpha)) / 255);
  }
  const jpeg = bytes[0] === 0xff && bytes[1] === 0xd8;
  return reduce({rgb, width, height}, jpeg ? Math.floor(Math.min(width, height) / settings.min_decoded_side) : 1);
}

// Pillow has libjpeg decode a large JPEG at 1/2, 1/4 or 1/8 of its size; means of as many pixels are nearly the same.
function reduce(image, maxFactor) {
  const factor = [8, 4, 2, 1].find(each => each <= Math.max(maxFactor, 1));
  if (factor === 1) return image;
  const width = Math.ceil(image.width / factor), height = Math.ceil(image.height / factor);
  const rgb = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let channel = 0; channel < 3; channel++) {
    let sum = 0, count = 0;
    for (let v = y * factor; v < Math.min((y + 1) * factor, image.height); v++)
      for (let u = x * factor; u < Math.min((x + 1) * factor, image.width); u++, count++) sum += image.rgb[3 * (v * image.width + u) + channel];
    rgb[3 * (y * width + x) + channel] = Math.floor(sum / count + 0.5);
  }
  return {rgb, width, height};
}

// Pillow's antialiased bilinear filter (Resample.c): weights of 22 bits, one direction after the other, bytes between.
function filterWeights(inputLength, outputLength) {
  const scale = inputLength / outputLength, support = Math.max(scale, 1);
  return Array.from({length: outputLength}, (_, output) => {
    const middle = (output + 0.5) * scale;
    const first = Math.max(Math.trunc(middle - support + 0.5), 0), end = Math.min(Math.trunc(middle + support + 0.5), inputLength);
    const shares = [];
    for (let input = first; input < end; input++) shares.push(Math.max(1 - Math.abs((input - middle + 0.5) / support), 0));
    const total = shares.reduce((sum, share) => sum + share, 0);
    return {first, weights: shares.map(share => Math.trunc(0.5 + share / total * 2 ** 22))};
  });
}
function resizeAxis({rgb, width, height}, outputLength, horizontal) {
  const length = horizontal ? width : height, lines = horizontal ? height : width;
  if (length === outputLength) return {rgb, width, height};
  const output = {rgb: new Uint8Array(3 * lines * outputLength), width: horizontal ? outputLength : width, height: horizontal ? height : outputLength};
  const offset = (width, line, index) => 3 * (horizontal ? line * width + index : index * width + line);
  filterWeights(length, outputLength).forEach(({first, weights}, index) => {
    for (let line = 0; line < lines; line++) for (let channel = 0; channel < 3; channel++) {
      let sum = 2 ** 21;
      weights.forEach((weight, tap) => { sum += weight * rgb[offset(width, line, first + tap) + channel]; });
      output.rgb[offset(output.width, line, index) + channel] = Math.min(Math.max(Math.floor(sum / 2 ** 22), 0), 255);
    }
  });
  return output;
}
function resize(image, size) {
  const {width, height} = image;
  const verticalFirst = height > size && height - size > 2 * (width - size); // Pillow 13
  return resizeAxis(resizeAxis(image, size, !verticalFirst), size, verticalFirst).rgb;
}

async function run(images, output) { // images: pictures of the network's size; a row of numbers for each
  const rows = [];
  for (let start = 0; start < images.length; start += 16) rows.push(...await runBatch(images.slice(start, start + 16), output));
  return rows;
}
async function runBatch(images, output) {
  const {runtime, session} = await ready, {size} = settings;
  const pixels = new Uint8Array(images.length * size * size * 3);
  images.forEach((image, index) => pixels.set(image, index * size * size * 3));
  const inputs = {pixels: new runtime.Tensor("uint8", pixels, [images.length, size, size, 3])};
  const {dims: [, columns], data} = (await session.run(inputs, [output]))[output];
  return images.map((_, index) => [...data.subarray(index * columns, (index + 1) * columns)]);
}

function calibrate(probabilities) {
  const logarithms = probabilities.map(each => Math.log(Math.max(each, settings.min_probability)) / settings.temperature);
  const largest = Math.max(...logarithms), powers = logarithms.map(each => Math.exp(each - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map(power => power / total);
}
async function predict(images) { // calibrated probabilities of the classes, or one number
  const rows = await run(images, "answers");
  if (!settings.classes) return rows;
  return rows.map(row => calibrate(row.length === 1 ? [Math.fround(1 - row[0]), row[0]] : row));
}
function predictedClass(probabilities) {
  if (settings.threshold !== null) return probabilities[1] >= settings.threshold ? 1 : 0;
  return probabilities.indexOf(Math.max(...probabilities));
}

// Occlusion, as cnn/model/occlusion.py has it: how much each pixel speaks for the answer, 0 to 1.
async function heat(image, own) {
  const {size, patch_starts: starts, patch_side: side} = settings;
  const grey = [0, 1, 2].map(channel => {
    let sum = 0;
    for (let pixel = 0; pixel < size * size; pixel++) sum += image[3 * pixel + channel];
    return Math.floor(sum / size ** 2);
  });
  const patches = starts.flatMap(y => starts.map(x => [y, x]));
  const covered = patches.map(([top, left]) => {
    const copy = image.slice();
    for (let y = top; y < top + side; y++) for (let x = left; x < left + side; x++) copy.set(grey, 3 * (y * size + x));
    return copy;
  });
  const index = settings.classes ? predictedClass(own) : 0, unit = Math.max(settings.margin, 1e-30);
  const falls = (await predict(covered)).map(row => settings.classes ? own[index] - row[index] : Math.abs(row[0] - own[0]) / unit);
  const total = new Float64Array(size * size), count = new Float64Array(size * size);
  patches.forEach(([top, left], patch) => {
    for (let y = top; y < top + side; y++) for (let x = left; x < left + side; x++) { total[y * size + x] += falls[patch]; count[y * size + x]++; }
  });
  const means = total.map((sum, pixel) => Math.max(sum / Math.max(count[pixel], 1), 0)), largest = means.reduce((a, b) => Math.max(a, b), 0);
  return means.map(each => largest > 1e-6 ? each / largest : 0);
}

function pictureSource(image, colourOf) { // a data: address
  const {size} = settings, canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  canvas.width = canvas.height = size;
  const picture = context.createImageData(size, size);
  for (let pixel = 0; pixel < size * size; pixel++) picture.data.set([...colourOf(pixel, image.subarray(3 * pixel, 3 * pixel + 3)), 255], 4 * pixel);
  context.putImageData(picture, 0, 0);
  return canvas.toDataURL();
}

async function nearest(image) {
  const [own] = await run([image], "features"), {features} = await ready, {training_pictures: pictures} = settings;
  const length = Math.max(Math.hypot(...own), 1e-12), units = own.length;
  const similarity = pictures.map((_, row) => own.reduce((sum, value, unit) => sum + value / length * features[row * units + unit], 0));
  const order = similarity.map((_, row) => row).sort((a, b) => similarity[b] - similarity[a] || a - b);
  return order.slice(0, settings.nearest).map(row => pictures[row]);
}

function formatNumber(number) { // as cnn/common/render.py writes it
  if (Math.abs(number) >= 100) return number.toLocaleString("en-US", {maximumFractionDigits: 0, roundingMode: "halfEven"});
  if (number === 0 || Math.abs(number) >= 1e-4) return String(Number(number.toPrecision(3)));
  const [digits, power] = number.toExponential(2).split("e");
  return `${Number(digits)}e-${String(-power).padStart(2, "0")}`;
}

async function answer(file) {
  const image = resize(await decode(file), settings.size), [own] = await predict([image]);
  const map = await heat(image, own);
  const overlay = (pixel, [red, green, blue]) => {
    const grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16, share = 0.75 * map[pixel];
    return settings.colour.map(each => Math.round(grey * (1 - share) + each * share));
  };
  let classes = [];
  if (settings.classes) {
    const predicted = predictedClass(own);
    classes = own.map((probability, index) => ({name: settings.classes[index], probability, rank: index === predicted ? 2 : probability}));
    classes.sort((a, b) => b.rank - a.rank);
  }
  return {
    classes,
    text: `${formatNumber(own[0])} ± ${formatNumber(settings.margin)}`,
    picture: pictureSource(image, (_, colour) => colour),
    heat: pictureSource(image, overlay),
    nearest: await nearest(image),
  };
}
