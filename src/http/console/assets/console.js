// Every page works without this script.

// Writes times in the viewer's zone and language.
function localize(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) {
      time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    }
  }
}

// Loads a region of the page again while something is under way, and keeps the focus.
async function follow(region) {
  const every = Number(region.dataset.follow) * 1000;
  while (region.dataset.follow) {
    await new Promise((resolve) => setTimeout(resolve, every));
    if (document.hidden) continue;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer?.ok) continue;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(region.id);
    if (!fresh) return location.reload();
    localize(fresh);
    const focused = document.activeElement?.id;
    region.replaceChildren(...fresh.childNodes);
    if (focused) document.getElementById(focused)?.focus();
    if (!fresh.dataset.follow) delete region.dataset.follow;
  }
}

// Proposes the viewer's zone.
const zone = document.getElementById("time_zone");
if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";

localize(document);
for (const region of document.querySelectorAll("[data-follow]")) follow(region);
