// Keys of a list of rows, as long as nobody is typing: j and k walk, o or Enter opens, x marks; r does what its link does.
const rows = () => [...document.querySelectorAll("table.rows tbody tr")];
const link = (row) => row.querySelector("a[href]");
const at = () => rows().findIndex((row) => row.contains(document.activeElement));

function walk(step) {
  const all = rows();
  const next = all[Math.min(Math.max(at() + step, 0), all.length - 1)];
  if (next) link(next).focus();
}

const keys = {
  j: () => walk(1),
  k: () => walk(-1),
  o: () => at() >= 0 && link(rows()[at()]).click(),
  x: () => {
    const box = at() >= 0 && rows()[at()].querySelector("input[type=checkbox]");
    if (box) box.click();
  },
  r: () => {
    const replay = document.querySelector("[data-key=r]");
    if (replay) replay.click();
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  const action = keys[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
