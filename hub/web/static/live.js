// A region that the hub keeps fresh: server-sent events bring it anew; without them it is asked for every ten seconds, and says so.
const region = document.querySelector("[data-live]");
const lost = document.getElementById("live-lost");

function show(html) {
  if (region.contains(document.activeElement) || String(getSelection())) return; // nobody's place is taken while they read
  region.innerHTML = html;
}

async function ask() {
  const answer = await fetch(location.href, { headers: { "HX-Request": "true" } });
  if (answer.ok) show(await answer.text());
}

if (region && window.EventSource) {
  const events = new EventSource(region.dataset.live);
  let asking = 0;
  events.onmessage = (event) => {
    lost.hidden = true;
    clearInterval(asking);
    asking = 0;
    show(event.data);
  };
  events.onerror = () => {
    lost.hidden = false;
    if (!asking) asking = setInterval(() => ask().catch(() => {}), 10000);
  };
}
