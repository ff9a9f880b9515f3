"use strict";
// The page shows what /events tells, and never more: it asks nobody else. What comes from the feed becomes text, not HTML.

const $ = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const kept = {};          // pair -> what is known of it
let told = null;          // the newest news
let toldAt = 0;           // when it came, on the browser's steady clock, in ms
let pair = null;
let connected = false;

const chart = LightweightCharts.createChart($("chart"), { autoSize: true, layout: { attributionLogo: false } });
const candles = chart.addSeries(LightweightCharts.CandlestickSeries, {});
const dark = matchMedia("(prefers-color-scheme: dark)");

function paint() {
  const up = colour("--up"), down = colour("--down"), edge = colour("--edge");
  chart.applyOptions({
    layout: { background: { color: colour("--card") }, textColor: colour("--soft"), attributionLogo: false },
    grid: { vertLines: { color: edge }, horzLines: { color: edge } },
    timeScale: { timeVisible: true, borderColor: edge, rightOffset: 3 }, rightPriceScale: { borderColor: edge },
  });
  candles.applyOptions({ upColor: up, wickUpColor: up, downColor: down, wickDownColor: down, borderVisible: false });
}
dark.addEventListener("change", paint);
paint();

function candle(bar) {  // floats are good enough for pixels, and for nothing else
  return { time: bar.time, open: +bar.open, high: +bar.high, low: +bar.low, close: +bar.close };
}

function rows(id, table) {
  const body = document.createElement("tbody");
  for (const cells of table) {
    const row = body.insertRow();
    if (cells.kind) row.className = cells.kind;
    for (const cell of cells.list) {
      const box = row.insertCell();
      if (cell instanceof Node) box.append(cell);
      else box.textContent = cell ?? "–";
      if (cells.numbers) box.className = "number";
    }
  }
  $(id).replaceChild(body, $(id).tBodies[0]);
}

function bar(share) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg"), rect = document.createElementNS(space, "rect");
  svg.setAttribute("aria-hidden", "true");
  rect.setAttribute("width", `${Math.round(100 * share)}%`);
  rect.setAttribute("height", "100%");
  svg.append(rect);
  return svg;
}

function choose(name) {
  pair = name;
  for (const button of $("pairs").children) button.setAttribute("aria-pressed", String(button.textContent === name));
  const bars = [...kept[name].bars.values()].sort((one, other) => one.time - other.time);
  const places = Math.max(0, ...bars.slice(-5).map((each) => (each.close.split(".")[1] ?? "").length));
  kept[name].places = places;
  candles.applyOptions({ priceFormat: { type: "price", precision: places, minMove: 10 ** -places } });
  candles.setData(bars.map(candle));
  draw();
}

function hear(message) {
  told = JSON.parse(message.data);
  toldAt = performance.now();
  connected = true;
  for (const [name, news] of Object.entries(told.pairs)) {
    if (told.all || !kept[name]) kept[name] = { bars: new Map(), trades: [], places: -1 };
    const known = kept[name];
    for (const each of news.bars) known.bars.set(each.time, each);
    known.trades = [...news.trades.reverse(), ...known.trades].slice(0, 60);
  }
  if ($("pairs").children.length === 0) {
    for (const name of Object.keys(told.pairs)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => choose(name));
      $("pairs").append(button);
    }
  }
  const news = told.pairs[pair];
  const isNew = told.all || !news || (kept[pair].places < 0 && news.bars.length > 0);
  if (isNew) choose(news ? pair : Object.keys(told.pairs)[0]);
  else {
    const last = Math.max(...(candles.data().slice(-1).map((each) => each.time)), 0);
    if (news.bars.some((each) => each.time < last)) choose(pair);  // what was fetched belongs further back
    else for (const each of news.bars) candles.update(candle(each));
    draw();
  }
}

function draw() {
  const news = told.pairs[pair], ticker = news.ticker;
  $("last").textContent = ticker?.last ?? "–";
  const change = ticker?.change_pct;
  $("change").textContent = change == null ? "" : `${change.startsWith("-") ? "" : "+"}${change} %`;
  $("change").className = change == null ? "" : change.startsWith("-") ? "sell" : "buy";
  const book = news.book;
  $("spread").textContent = book ? `spread ${book.spread ?? "–"}` : "";
  const most = book ? Math.max(...book.bids.concat(book.asks).map((level) => +level[1])) : 1;
  const level = (kind) => ([price, amount]) => ({ kind, numbers: true, list: [price, amount, bar(amount / most)] });
  rows("book", book ? [...book.asks.map(level("sell")).reverse(), ...book.bids.map(level("buy"))] : []);
  rows("tape", kept[pair].trades.map((each) => ({ kind: each.side, numbers: true, list: [each.at, each.price, each.amount] })));
  rows("feeds", Object.entries(news.states).map(([channel, state]) => ({ list: [channel, state] }))
    .concat([{ list: ["age when it came", news.age_s == null ? null : `${Math.max(0, news.age_s).toFixed(2)} s`] }]));
  rows("lines", told.lines.map((each) => ({ list: [`line ${each.number}`, each.state, each.host, `losses: ${each.losses}`] })));
  rows("gaps", told.gaps.length ? told.gaps.map((gap) => ({ list: [
    gap.topic, `${gap.from} – ${gap.to ?? "now"}`, gap.length_s == null ? "open" : `${gap.length_s} s`, gap.cause,
    gap.filled == null ? "" : `${gap.filled} fetched`] })) : [{ list: ["none"] }]);
  rows("notes", told.notes.map((note) => ({ list: [note.at, note.text] })));
  tick();
}

function tick() {  // ages grow here, so that nothing looks fresh because nothing came
  if (!told) return;
  const news = told.pairs[pair], states = Object.values(news.states);
  const behind_s = (performance.now() - toldAt) / 1000;
  const quiet_s = news.quiet_s == null ? null : news.quiet_s + behind_s;
  $("age").textContent = quiet_s == null ? "no data yet" : `${quiet_s.toFixed(1)} s ago`;
  let state = "live", word = "live";
  if (!connected || behind_s > 3) [state, word] = ["away", "lbank-ws serve does not answer; trying again"];
  else if (states.includes("refused")) [state, word] = ["lost", "refused"];
  else if (told.lines.some((each) => each.state !== "open")) [state, word] = ["lost", "a line is down; coming back"];
  else if (states.includes("stale") || quiet_s > 10) [state, word] = ["stale", "stale"];
  else if (quiet_s == null || states.includes("waiting")) [state, word] = ["waiting", "waiting for data"];
  document.body.dataset.state = state;
  if ($("word").textContent !== word) $("word").textContent = word;
}

const source = new EventSource("events");  // comes back by itself
source.onmessage = hear;
source.onerror = () => { connected = false; tick(); };
setInterval(tick, 200);
