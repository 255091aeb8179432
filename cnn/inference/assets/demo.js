// What both pages do with a picture that is dropped, pasted or chosen; answerFor(file) is the page's own.
const element = id => document.getElementById(id);
function say(text) { element("said").textContent = text; }
let asked = 0; // what was dropped last counts, whatever is ready first
async function classify(file) {
  if (!file) return;
  const mine = ++asked;
  if (file.size > most) return say(`The picture is larger than ${most / 2 ** 20} MiB.`);
  say("Looking …");
  element("result").hidden = true;
  let answer;
  try { answer = await answerFor(file); } catch (problem) { return mine === asked && say(problem.message); }
  if (mine !== asked) return;
  show(answer);
  say(answer.classes.length ? `The model names: ${answer.classes[0].name}` : "The number, with a margin that holds for about 9 of 10 pictures:");
}
function show(answer) {
  const number = document.createElement("p");
  number.className = "number"; number.textContent = answer.words;
  element("bars").replaceChildren(...answer.classes.length ? [] : [number], ...answer.classes.map(each => {
    const row = document.createElement("div"), name = document.createElement("b");
    const cell = document.createElement("div"), bar = document.createElement("i"), number = document.createElement("span");
    row.className = "bar"; name.textContent = each.name; bar.style.width = `${100 * each.probability}%`;
    number.textContent = `${(100 * each.probability).toFixed(1)}%`;
    cell.append(bar); row.append(name, cell, number);
    return row;
  }));
  element("picture").src = answer.picture; element("heat").src = answer.heat;
  element("alike").hidden = !answer.nearest.length;
  element("nearest").replaceChildren(...answer.nearest.map(each => {
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
