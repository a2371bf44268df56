// Two short visits to the same items, played as events with the pauses of real people between them.
"use strict";

const PLAYED = { hurried: [], browsing: [] };
const MOST_PLAYED = 6;

// The most popular items of the first categories, two of each: the same for both visits.
async function playedItems() {
  const first = await call("/demo/shelf?");
  const names = [...new Set(first.items.map((item) => item.category))].slice(0, MOST_PLAYED / 2);
  const shelves = await Promise.all(names.map((name) => call(`/demo/shelf?${new URLSearchParams(name ? { category: name } : {})}`)));
  return shelves.flatMap((shelf) => shelf.items.slice(0, 2));
}

// Pauses in seconds before each step; somebody in a hurry searches, somebody who looks around goes by category.
function steps(pace, items) {
  const view = (item, pause) => ({ pause, event_type: "view_item", items: [{ item_id: item.item_id }] });
  if (pace === "hurried") {
    const search = { pause: 0, event_type: "search", search_term: items[0].title || items[0].item_id };
    return [search, ...items.map((item, place) => view(item, 3 + (place % 3)))];
  }
  return items.flatMap((item, place) => {
    const list = { pause: 35, event_type: "view_item_list", items: items.filter((each) => each.category === item.category).map(({ item_id }) => ({ item_id })) };
    return place % 2 ? [view(item, 70)] : [list, view(item, 45 + 5 * place)];
  });
}

async function play(pace) {
  become(newId(`demo-${pace}-`));
  const planned = steps(pace, await playedItems());
  let ts = Date.now() - 1000 * (2 + planned.reduce((sum, step) => sum + step.pause, 0));
  const events = planned.map(({ pause, ...event }) => {
    ts += 1000 * pause;
    return { ...event, event_id: newId("e-"), ts: new Date(ts).toISOString(), visitor_id: localStorage.visitor, session_id: localStorage.session };
  });
  const verdict = await call("/v1/events", { events });
  log(`a ${pace} visit of ${planned.length} steps: ${verdict.accepted} events on disk`);
  Object.assign(state, { cart: {}, shown: new Set() });
  await openHome();
  PLAYED[pace] = [pace, planned.length, modeWords(state.answer), state.answer.items.length];
  drawPlayed();
}

function drawPlayed() {
  const rows = Object.values(PLAYED).filter((row) => row.length);
  const head = element("tr");
  head.append(...["played", "steps", "told", "suggestions"].map((name) => element("th", "left", name)));
  $("played").replaceChildren(head, ...rows.map((cells) => {
    const row = element("tr");
    row.append(...cells.map((cell) => element("td", "left", cell)));
    return row;
  }));
}
