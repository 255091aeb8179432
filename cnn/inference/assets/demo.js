// What both pages do with a picture that is dropped, pasted or chosen; answer(file) is the page's own.
const element = id => document.getElementById(id);
function showMessage(text) { element("message").textContent = text; }
let lastRequest = 0; // the answer to the last picture counts, whichever is ready first
async function classify(file) {
  if (!file) return;
  const request = ++lastRequest;
  if (file.size > maxBytes) return showMessage(`The picture is larger than ${maxBytes / 2 ** 20} MiB.`);
  showMessage("Looking …");
  element("result").hidden = true;
  let result;
  try { result = await answer(file); } catch (problem) { return request === lastRequest && showMessage(problem.message); }
  if (request !== lastRequest) return;
  show(result);
  showMessage(result.classes.length ? `The model names: ${result.classes[0].name}` : "The number, with a margin that holds for about 9 of 10 pictures:");
}
function show(result) {
  const number = document.createElement("p");
  number.className = "number"; number.textContent = result.text;
  element("bars").replaceChildren(...result.classes.length ? [] : [number], ...result.classes.map(each => {
    const row = document.createElement("div"), name = document.createElement("b");
    const cell = document.createElement("div"), bar = document.createElement("i"), number = document.createElement("span");
    row.className = "bar"; name.textContent = each.name; bar.style.width = `${100 * each.probability}%`;
    number.textContent = `${(100 * each.probability).toFixed(1)}%`;
    cell.append(bar); row.append(name, cell, number);
    return row;
  }));
  element("picture").src = result.picture; element("heat").src = result.heat;
  element("nearest").hidden = !result.nearest.length;
  element("gallery").replaceChildren(...result.nearest.map(each => {
    const item = document.createElement("li"), image = document.createElement("img");
    const label = document.createElement("b"), file = document.createElement("small");
    image.src = each.source; image.alt = `${each.file}, which is ${each.label}`;
    label.textContent = each.label; file.textContent = each.file;
    item.append(image, label, document.createElement("br"), file);
    return item;
  }));
  element("result").hidden = false;
}
element("file").addEventListener("change", event => classify(event.target.files[0]));
document.addEventListener("paste", event => classify([...event.clipboardData.files][0]));
for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, event => {
  event.preventDefault();
  element("drop").classList.toggle("over", kind === "dragover");
  if (kind === "drop") classify(event.dataTransfer.files[0]);
});
