// What an answer did, in plain words.
"use strict";

const REASONS = {
  popular: "popular", popular_in_category: "popular in this category", goes_with: "goes with it",
  bought_together: "bought together", viewed_next: "often viewed next", similar: "similar",
  related: "related", seen_before: "seen before", featured: "featured",
  rising: "rising", new: "new", bought_before: "bought before", often_next: "often the next step",
};
const KINDS = { buy_again: "buy again", resume: "left open", complement: "goes with your cart" };
const COUNTED = {
  item: ["item", "items"], buy_again: ["to buy again", "to buy again"], resume: ["left open", "left open"],
  complement: ["for the cart", "for the cart"], category: ["category", "categories"],
  search: ["search", "searches"], checkout: ["way to the checkout", "ways to the checkout"],
};
const MODES = {
  hurried: "in a hurry", focused: "looking for something certain", browsing: "looking around",
  returning: "back for something", unknown: "not known yet",
};
// Why an item is not shown for now.
const CAPS = {
  item_per_session: "rests until the next visit", item_per_week: "rests for some days",
  brand_per_session: "rests with its brand until the next visit", category_per_session: "rests with its category until the next visit",
  brand_share: "gives way: enough of its brand is shown", category_share: "gives way: enough of its category is shown",
};
const SPENT = {
  session_budget: "so many lists were passed over in this visit",
  day_budget: "so many lists were passed over today",
  min_gain: "all that would be shown was passed over before",
};

const percent = (share) => `${Math.round(share * 100)} %`;

function modeWords({ session_mode, session_mode_confidence }) {
  if (session_mode === "unknown") return MODES.unknown;
  const sure = session_mode_confidence >= 0.995 ? "over 99 %" : percent(session_mode_confidence);
  return `${MODES[session_mode]} (${session_mode}, ${sure} sure)`;
}

function paceWords(answer) {
  const pace = answer.explanation.pace;
  if (answer.session_mode === "unknown") return "Pace of this visit: not known yet. It takes three steps, and a model that knows the pace of this shop.";
  const changes = [];
  if (pace.given < pace.asked) changes.push(`${pace.given} places instead of ${pace.asked}`);
  if (pace.novelty_at_least > 0) changes.push(`at least ${percent(pace.novelty_at_least)} new to the shopper`);
  if (pace.novelty_at_most < 1) changes.push(`at most ${percent(pace.novelty_at_most)} new to the shopper`);
  if (!answer.items.length) return `Pace of this visit: ${modeWords(answer)}.`;
  return `Pace of this visit: ${modeWords(answer)}: ${changes.length ? changes.join(", ") : "the list stays as it is"}.`;
}

function kindWords(answer) {
  const counts = {};
  for (const entry of answer.items) counts[entry.kind] = (counts[entry.kind] || 0) + 1;
  const parts = Object.entries(counts).map(([kind, count]) => `${count} ${(COUNTED[kind] || [kind, kind])[count > 1 ? 1 : 0]}`);
  return parts.length ? `Shown: ${parts.join(", ")}.` : "Shown: nothing.";
}

// One sentence for each item that rests or went down.
function tiredWords(answer, nameOf) {
  const moved = answer.explanation.fatigue.items.filter((item) => item.cap || item.after > item.before);
  return moved.map((item) => {
    const ignored = `passed over ${item.ignored} ${item.ignored === 1 ? "time" : "times"}`;
    if (item.cap) return `${nameOf(item.item_id)} ${CAPS[item.cap] || "rests"} (${ignored}; ${item.cap}).`;
    return `${nameOf(item.item_id)} went from rank ${item.before} to ${item.after} (${ignored}).`;
  });
}

function budgetWords(answer) {
  const why = SPENT[answer.explanation.fatigue.acted];
  return why && !answer.reason ? `No personal list: ${why}. What is popular stands here instead.` : "";
}

function silenceWords(answer) {
  if (answer.items.length) return "";
  if (answer.reason !== "suppressed") return "There is nothing to suggest here.";
  const why = SPENT[answer.explanation.fatigue.acted] || "nothing is worth saying";
  return `Nothing is suggested now, on purpose: ${why}, so the shop stays quiet. Looking at one of those items, or coming back later, ends the silence.`;
}
