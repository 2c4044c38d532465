// "/" leads to the search from anywhere, as long as nobody is typing.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const field = document.getElementById("q");
  if (field) {
    field.focus();
    field.select();
  } else if (document.querySelector("form[action='/logout']")) {
    location.assign("/p");
  }
});
