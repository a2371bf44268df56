// The demonstration shop: every click is an event, every view asks for suggestions again.
"use strict";

const SESSION_GAP = 30 * 60 * 1000;
const $ = (id) => document.getElementById(id);
const state = { category: null, words: "", offset: 0, item: null, inCart: false, cart: {}, shown: new Set(), answer: null, isListing: false, names: {} };

// ---- who
function newId(prefix) {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  return prefix + Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
function visitor() {
  if (!localStorage.visitor) become(newId("demo-"));
  return localStorage.visitor;
}
function become(id) { localStorage.visitor = id; localStorage.session = newId("s-"); localStorage.lastSeen = String(Date.now()); localStorage.cart = "{}"; }
function session() {
  const now = Date.now();
  if (!localStorage.session || now - Number(localStorage.lastSeen || 0) > SESSION_GAP) localStorage.session = newId("s-");
  localStorage.lastSeen = String(now);
  return localStorage.session;
}

// ---- talk to the service
async function call(path, body, method = body ? "POST" : "GET") {
  const options = body ? { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : { method };
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}
async function send(event_type, items, more = {}) {
  const event = { event_id: newId("e-"), event_type, ts: new Date().toISOString(), visitor_id: visitor(), session_id: session(), ...more };
  if (items.length) event.items = items.map(({ item_id, price, quantity }) => ({ item_id, ...(price ? { price } : {}), ...(quantity ? { quantity } : {}) }));
  try {
    const verdict = await call("/v1/events", event);
    log(`${event_type} ${items.map((i) => i.item_id).join(", ")}: ${verdict.accepted ? "on disk" : verdict.duplicates ? "duplicate" : verdict.rejected[0].detail}`);
  } catch (error) { log(`${event_type}: ${error.message}`); }
}
function log(text) {
  const line = document.createElement("li");
  line.textContent = text;
  $("sent").prepend(line);
}

// ---- drawing
function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
function tile(item) {
  const hue = [...(item.category || item.item_id)].reduce((h, c) => (h * 31 + c.codePointAt(0)) % 360, 7);
  const made = element("div", "tile", (item.title || item.item_id).slice(0, 2).toUpperCase());
  made.style.background = `linear-gradient(135deg, hsl(${hue} 35% 55%), hsl(${(hue + 40) % 360} 35% 42%))`;
  return made;
}
function money(price) { return price == null ? "" : price.toFixed(2); }
function card(item, extra = {}) {
  const made = element("article", extra.isNew ? "card new" : "card");
  made.dataset.item = item.item_id;
  const text = element("div", "text"), name = item.title || item.item_id;
  const open = () => openItem(item, extra.recommendation);
  state.names[item.item_id] = name;
  text.append(button(name, open, "title"), element("div", "meta", [money(item.price), item.brand].filter(Boolean).join(" · ")));
  if (item.available === false) text.append(element("div", "meta", "sold out"));
  if (KINDS[extra.kind]) text.append(element("div", "kind", KINDS[extra.kind]));
  if (extra.reason) text.append(element("div", "why", REASONS[extra.reason] || extra.reason));
  made.append(tile(item), text);
  made.querySelector(".tile").addEventListener("click", open);
  if (extra.recommendation) {
    const rest = button("×", async () => {
      await send("dismiss", [item], { recommendation_id: extra.recommendation });
      await suggest();
    }, "rest");
    rest.title = "not for me";
    rest.setAttribute("aria-label", `not for me: ${name}`);
    made.append(rest);
  }
  return made;
}

// Where to go: a card without an item, which leads to a category, a search or the cart.
function way(entry, recommendation) {
  const words = { category: entry.category?.split("/").pop(), search: `“${entry.query}”`, checkout: "Your cart" };
  const made = element("article", "card way");
  const text = element("div", "text");
  const go = async () => {
    const target = entry.category || entry.query;
    const params = { promotion_id: entry.kind, index: entry.rank, ...(target ? { promotion_name: target } : {}) };
    await send("select_promotion", [], { recommendation_id: recommendation, params });
    if (entry.kind === "category") return openCategory(entry.category);
    return entry.kind === "search" ? searchFor(entry.query) : openCart();
  };
  text.append(button(`${words[entry.kind]} →`, go, "title"), element("div", "kind", entry.kind), element("div", "why", REASONS[entry.reason.code] || entry.reason.code));
  made.append(text);
  return made;
}

// ---- the catalogue
async function drawShelf() {
  const query = new URLSearchParams({ words: state.words, offset: String(state.offset) });
  if (state.category) query.set("category", state.category);
  const shelf = await call(`/demo/shelf?${query}`);
  $("shelf").replaceChildren(...shelf.items.map((item) => card(item)));
  $("shelf-title").textContent = state.category || (state.words ? `Found for “${state.words}”` : "Catalogue");
  $("page").textContent = shelf.total ? `${shelf.offset + 1} to ${shelf.offset + shelf.items.length} of ${shelf.total}` : "nothing found";
  $("previous").disabled = state.offset === 0;
  $("next").disabled = shelf.offset + shelf.items.length >= shelf.total;
  $("categories").replaceChildren(...shelf.categories.map((name) => {
    const link = element("a", name.includes("/") ? "deep" : "", name.split("/").pop());
    link.href = "#";
    link.title = name;
    if (name === state.category) link.classList.add("on");
    link.addEventListener("click", (click) => { click.preventDefault(); openCategory(name); });
    return link;
  }));
  return shelf.items;
}

// ---- suggestions
function question() {
  const base = { visitor_id: visitor(), session_id: session(), return_properties: true, explain: true };
  const cart_item_ids = Object.keys(state.cart);
  if (state.inCart) return { ...base, placement: "cart", context: { page_type: "cart", cart_item_ids } };
  if (state.item) return { ...base, placement: "item", context: { page_type: "item", item_ids: [state.item.item_id], cart_item_ids } };
  if (state.category) return { ...base, placement: "category", context: { page_type: "category", category: state.category, cart_item_ids } };
  const kinds = ["item", "buy_again", "resume", "complement", "category", "search", "checkout"];
  return { ...base, placement: "home", kinds, context: { page_type: "home", cart_item_ids } };
}
async function suggest() {
  const answer = await call("/v1/recommendations", question());
  const before = state.shown;
  state.answer = answer;
  const items = answer.items.filter((entry) => entry.item_id !== undefined);
  state.shown = new Set(items.map((item) => item.item_id));
  $("suggestions-title").textContent = state.inCart ? "Goes with your cart" : state.item ? "You may also want to see" : "You may want to see";
  $("suggestions-level").textContent = `rung ${answer.fallback_level.replaceAll("_", " ")}, model ${answer.model_version}, ${answer.took_ms.toFixed(1)} ms; tinted: not in the answer before`;
  $("suggestions").replaceChildren(...answer.items.map((entry) => entry.item_id === undefined ? way(entry, answer.recommendation_id) : card({ item_id: entry.item_id, ...entry.properties }, {
    kind: entry.kind, reason: entry.reason.code, recommendation: answer.recommendation_id, isNew: before.size > 0 && !before.has(entry.item_id),
  })));
  say(answer);
  // What stands here is seen: only so can it rest once it was passed over.
  if (items.length) await send("view_item_list", items, { recommendation_id: answer.recommendation_id, placement: answer.placement });
  await explain(answer.recommendation_id);
}
// ---- the shopper's ways
async function openHome() { Object.assign(state, { item: null, category: null, inCart: false, words: "", offset: 0 }); $("words").value = ""; await draw(); }
async function openCategory(name) {
  Object.assign(state, { item: null, category: name, inCart: false, words: "", offset: 0, isListing: true });
  await draw();
}
async function openItem(item, recommendation) {
  const link = recommendation ? { recommendation_id: recommendation } : {};
  if (recommendation) await send("select_item", [item], link);
  Object.assign(state, { item, inCart: false });
  await send("view_item", [item], link);
  await draw();
  window.scrollTo({ top: 0 });
}
async function searchFor(words) {
  $("words").value = words;
  Object.assign(state, { words, category: null, item: null, inCart: false, offset: 0, isListing: Boolean(words) });
  if (words) await send("search", [], { search_term: words });
  await draw();
}
function openCart() { Object.assign(state, { item: null, inCart: true }); return draw(); }
async function changeCart(item, by) {
  const count = Math.max(0, (state.cart[item.item_id]?.quantity || 0) + by);
  if (count) state.cart[item.item_id] = { item_id: item.item_id, title: item.title, category: item.category, price: item.price, quantity: count };
  else delete state.cart[item.item_id];
  localStorage.cart = JSON.stringify(state.cart);
  await send(by > 0 ? "add_to_cart" : "remove_from_cart", [{ ...item, quantity: 1 }]);
  await draw();
}
async function buy() {
  const items = Object.values(state.cart);
  const value = items.reduce((sum, item) => sum + (item.price || 0) * item.quantity, 0);
  await send("purchase", items, { transaction_id: newId("t-"), currency: "EUR", value: Math.round(value * 100) / 100 });
  state.cart = {};
  localStorage.cart = "{}";
  await openHome();
}
function button(text, action, className) {
  const made = element("button", className, text);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}
function drawStage() {
  const stage = $("stage");
  stage.replaceChildren();
  if (state.item) {
    const item = state.item, text = element("div");
    text.append(element("h1", "", item.title || item.item_id), element("div", "note", [item.category, item.brand, money(item.price)].filter(Boolean).join(" · ")));
    text.append(button("add to cart", () => changeCart(item, 1)));
    const detail = element("div", "detail");
    detail.append(tile(item), text);
    stage.append(detail);
  } else if (state.inCart) {
    const items = Object.values(state.cart);
    stage.append(element("h1", "", items.length ? "Your cart" : "Your cart is empty"));
    for (const item of items) {
      const row = element("p", "", `${item.quantity} × ${item.title || item.item_id} ${money(item.price)} `);
      row.append(button("−", () => changeCart(item, -1)), button("+", () => changeCart(item, 1)));
      stage.append(row);
    }
    if (items.length) stage.append(button("buy", buy));
  }
}
async function draw() {
  $("visitor").textContent = visitor();
  $("cart-count").textContent = Object.values(state.cart).reduce((sum, item) => sum + item.quantity, 0);
  drawStage();
  const listed = await drawShelf();
  // The shop's own list, which is none of ours: it says where the shopper went.
  if (state.isListing && listed.length) await send("view_item_list", listed.slice(0, 12));
  state.isListing = false;
  await suggest();
}

// ---- begin
document.querySelectorAll(".tabs button").forEach((tab) => tab.addEventListener("click", () => {
  document.querySelectorAll(".tabs button, .tab").forEach((each) => each.classList.remove("on"));
  document.querySelectorAll(".tabs button").forEach((each) => each.setAttribute("aria-selected", String(each === tab)));
  tab.classList.add("on");
  $(tab.dataset.tab).classList.add("on");
}));
$("home").addEventListener("click", (click) => { click.preventDefault(); openHome(); });
$("cart").addEventListener("click", openCart);
function beSomebodyNew(id) { become(id); state.cart = {}; state.shown = new Set(); return openHome(); }
$("new-visitor").addEventListener("click", () => beSomebodyNew(newId("demo-")));
$("forget").addEventListener("click", async () => {
  const receipt = await call(`/v1/visitors/${encodeURIComponent(visitor())}`, null, "DELETE");
  log(`forgotten: everything up to ${receipt.erased_at}`);
  await beSomebodyNew(visitor());
});
$("play-hurried").addEventListener("click", () => play("hurried"));
$("play-browsing").addEventListener("click", () => play("browsing"));
$("search").addEventListener("submit", async (submit) => {
  submit.preventDefault();
  await searchFor($("words").value);
});
$("previous").addEventListener("click", () => { state.offset = Math.max(0, state.offset - 24); drawShelf(); });
$("next").addEventListener("click", () => { state.offset += 24; drawShelf(); });
// An address such as /demo?visitor=V&item=I opens that item as that visitor; /demo?play=browsing plays a visit.
async function begin() {
  const asked = new URLSearchParams(location.search), wanted = asked.get("item");
  if (asked.has("visitor") && localStorage.visitor !== asked.get("visitor")) become(asked.get("visitor"));
  state.cart = JSON.parse(localStorage.cart || "{}");
  drawEvaluation();
  fetch("/demo/journeys").then((answer) => { $("journeys").hidden = !answer.ok; });
  if (asked.get("play") in PLAYED) return play(asked.get("play"));
  if (!wanted) return draw();
  const shelf = await call(`/demo/shelf?${new URLSearchParams({ words: wanted })}`);
  const item = shelf.items.find((each) => each.item_id === wanted);
  return item ? openItem(item) : draw();
}
begin();
