"use strict";
(function () {
  const said = JSON.parse(document.getElementById("data").textContent);
  // These are legible on light and on dark ground, so that nothing need be drawn anew for the other, or for print.
  const INK = "#757d87", GRID = "rgba(128,128,128,0.18)";
  const UP = "#1a9c6b", DOWN = "#d64550", BLUE = "#3b82d6", AMBER = "#c98a1b", VIOLET = "#9b6bd3";
  const FONT = "12px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif";
  const find = (id) => document.getElementById(id);

  function make(name, more, ...inside) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(more || {})) {
      if (key === "text") made.textContent = value;
      else made.setAttribute(key, value);
    }
    made.append(...inside);
    return made;
  }
  function draw(name, more) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(more || {})) {
      if (key === "text") made.textContent = value;
      else made.setAttribute(key, value);
    }
    return made;
  }
  const two = (number) => String(number).padStart(2, "0");
  function clock(at, withDay) {
    const moment = new Date(at * 1000);
    const day = `${moment.getUTCFullYear()}-${two(moment.getUTCMonth() + 1)}-${two(moment.getUTCDate())}`;
    const time = `${two(moment.getUTCHours())}:${two(moment.getUTCMinutes())}:${two(moment.getUTCSeconds())}`;
    return withDay ? `${day} ${time}` : time;
  }
  function tick(at, span) {
    const text = clock(at, true);
    return span > 3 * 86400 ? text.slice(5, 10) : span > 86400 ? text.slice(5, 16) : span > 1200 ? text.slice(11, 16) : text.slice(11);
  }
  const whole = (number) => number.toLocaleString("en-US");
  function lasted(seconds) {
    if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
    return `${(seconds / 86400).toFixed(1)} days`;
  }
  function short(number) {
    if (number === null || number === undefined) return "–";
    const size = Math.abs(number);
    for (const [unit, name] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) if (size >= unit) return `${Number((number / unit).toPrecision(3))}${name}`;
    return String(Number(number.toPrecision(3)));
  }
  const age = (seconds) => seconds === null ? "–" : seconds < 0.001 ? "<1 ms" : seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${Number(seconds.toPrecision(3))} s`;
  const percent = (part) => part === null ? "–" : `${part.toFixed(3)} %`;
  const span = Math.max(1, said.end_s - said.begin_s);

  // The head.

  document.title = `${said.store}: lbank_ws report`;
  find("title").textContent = said.store;
  find("span").textContent = said.summary.length
    ? `${clock(said.begin_s, true)} to ${clock(said.end_s, true)} UTC, ${lasted(span)}; made ${clock(said.made_s, true)}`
    : "Nothing is in this store, or nothing of what was asked for.";
  const sum = (name) => said.summary.reduce((total, row) => total + row[name], 0);
  const covered = said.summary.map((row) => row.coverage_pct).filter((one) => one !== null);
  const figures = [
    ["Events", whole(sum("events"))],
    ["Subscriptions", whole(said.summary.length)],
    ["Least coverage", covered.length ? percent(Math.min(...covered)) : "not known"],
    ["Holes", whole(sum("gaps"))],
    ["Late", sum("events") ? `${(100 * sum("late") / sum("events")).toFixed(2)} %` : "–"],
    ["Runs", whole(said.runs.length)],
  ];
  for (const [name, value] of figures) find("figures").append(make("div", {}, make("dt", { text: name }), make("dd", { text: value })));

  // Charts of one pair.

  let gone = [];
  function frame(title, more, isWhole, height) {
    const readout = make("output", { "aria-live": "polite" });
    const place = make("div", { style: `height:${height}px` });
    const key = make("div", { class: "key" });
    const figure = make("figure", { tabindex: "0", role: "group", "aria-label": `${title}, ${more}. Arrow keys move through time.` },
      make("figcaption", { text: title }, make("span", { class: "more", text: more })), key, place, readout);
    if (isWhole) figure.className = "whole";
    find("charts").append(figure);
    return { figure, place, key, readout };
  }
  function walk(figure, length, show) {
    let at = -1;
    figure.addEventListener("keydown", (event) => {
      const to = { ArrowRight: at + 1, ArrowLeft: at < 0 ? length - 1 : at - 1, Home: 0, End: length - 1 }[event.key];
      if (to === undefined || !length) return;
      event.preventDefault();
      at = Math.min(length - 1, Math.max(0, to));
      show(at);
    });
  }
  function nothing(place, words) {
    place.style.height = "auto";
    place.append(make("p", { class: "quiet", text: words }));
  }

  function candles(pair) {
    const { figure, place, readout } = frame("Price and volume", `candles of ${lasted(said.step_s)}, in the quote currency; volume in the base currency`, true, 320);
    if (!pair.candles.length) return nothing(place, "No trade of this pair is in the store. Collect the channel trade to see candles.");
    const by = new Map(pair.candles.map((one) => [one[0], one]));
    const first = Math.min(pair.candles[0][0], pair.times[0]), bars = [], volumes = [];
    for (let at = first; at <= pair.times[pair.times.length - 1]; at += said.step_s) {
      const one = by.get(at);
      if (!one) { bars.push({ time: at }); continue; }
      bars.push({ time: at, open: one[1], high: one[2], low: one[3], close: one[4] });
      volumes.push({ time: at, value: one[5], color: one[4] >= one[1] ? "rgba(26,156,107,0.4)" : "rgba(214,69,80,0.4)" });
    }
    const places = Math.min(10, Math.max(...pair.candles.flatMap((one) => one.slice(1, 5)).map((n) => (n.toFixed(10).replace(/0+$/, "").split(".")[1] || "").length)));
    const chart = LightweightCharts.createChart(place, {
      autoSize: true,
      layout: { background: { color: "transparent" }, textColor: INK, fontFamily: "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" },
      grid: { vertLines: { color: GRID }, horzLines: { color: GRID } },
      rightPriceScale: { borderColor: GRID, scaleMargins: { top: 0.06, bottom: 0.26 } },
      timeScale: { borderColor: GRID, timeVisible: said.step_s < 86400, secondsVisible: said.step_s < 60 },
      localization: { locale: "en-US", timeFormatter: (at) => `${clock(at, true)}` },
      crosshair: { mode: 0 },
    });
    const series = chart.addSeries(LightweightCharts.CandlestickSeries, {
      upColor: UP, downColor: DOWN, wickUpColor: UP, wickDownColor: DOWN, borderVisible: false,
      priceFormat: { type: "price", precision: places, minMove: Math.pow(10, -places) },
    });
    series.setData(bars);
    const volume = chart.addSeries(LightweightCharts.HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    volume.priceScale().applyOptions({ scaleMargins: { top: 0.8, bottom: 0 } });
    volume.setData(volumes);
    chart.timeScale().fitContent();
    const tell = (one) => {
      readout.textContent = one ? `${clock(one[0], true)}: open ${one[1]}, high ${one[2]}, low ${one[3]}, close ${one[4]}, volume ${short(one[5])}` : "";
    };
    chart.subscribeCrosshairMove((move) => tell(move.time === undefined ? null : by.get(move.time)));
    walk(figure, pair.candles.length, (at) => {
      const one = pair.candles[at];
      chart.setCrosshairPosition(one[4], one[0], series);
      tell(one);
    });
    gone.push(() => chart.remove());
  }

  function lines(pair, title, more, rows, format, words, isLog) {
    const { figure, place, key, readout } = frame(title, more, false, 190);
    if (!rows.some((row) => row.values.some((one) => one !== null && one !== 0))) return nothing(place, words);
    for (const row of rows) key.append(make("span", {}, make("b", { style: `border-color:${row.color}` }), row.name));
    const plot = new uPlot({
      width: place.clientWidth, height: 190, legend: { show: false }, cursor: { sync: { key: "time" }, y: false },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "UTC"),
      scales: { x: { range: [said.begin_s, Math.max(said.end_s, said.begin_s + 1)] }, y: isLog ? { distr: 3 } : { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] } },
      axes: [
        { stroke: INK, font: FONT, grid: { stroke: GRID, width: 1 }, ticks: { show: false }, space: 70, size: 30, values: (_, at) => at.map((one) => tick(one, span)) },
        { stroke: INK, font: FONT, grid: { stroke: GRID, width: 1 }, ticks: { show: false }, size: 62, values: (_, at) => at.map((one) => one === null ? "" : format(one)) },
      ],
      series: [{}, ...rows.map((row) => ({ label: row.name, stroke: row.color, width: 1.5, points: { size: 4 }, spanGaps: false }))],
      hooks: { setCursor: [(own) => {
        const at = own.cursor.idx;
        readout.textContent = at === null || at === undefined ? "" : `${clock(pair.times[at], true)}: ` + rows.map((row) => `${row.name} ${row.values[at] === null ? "–" : format(row.values[at])}`).join(", ");
      }] },
    }, [pair.times, ...rows.map((row) => row.values)], place);
    const observer = new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 190 }));
    observer.observe(place);
    walk(figure, pair.times.length, (at) => plot.setCursor({ left: plot.valToPos(pair.times[at], "x"), top: 20 }));
    gone.push(() => { observer.disconnect(); plot.destroy(); });
  }

  function show(number) {
    gone.forEach((end) => end());
    gone = [];
    find("charts").replaceChildren();
    const pair = said.pairs[number];
    find("market-title").textContent = `Market: ${pair.pair}`;
    candles(pair);
    
    const noBook = "No good book of this pair is in the store. Collect the channel depth to see this.";
    lines(pair, "Depth", "worth of all levels, in the quote currency", [{ name: "bids", color: UP, values: pair.bids }, { name: "asks", color: DOWN, values: pair.asks }], short, noBook);
    lines(pair, "Spread", "in basis points of the middle", [{ name: "spread", color: BLUE, values: pair.spread_bp }], (n) => `${short(n)} bp`, noBook);
    lines(pair, "Rate", "events a second, of all channels", [{ name: "events", color: VIOLET, values: pair.rate }], short, "Nothing came of this pair.");
    lines(pair, "Age", "of events when they came", [
      { name: "half below", color: BLUE, values: pair.ages[0] }, { name: "95 %", color: AMBER, values: pair.ages[1] }, { name: "99 %", color: DOWN, values: pair.ages[2] },
    ], age, "The ages of this pair are not known: the clocks were not compared.", true);
  }
  if (said.pairs.length) {
    said.pairs.forEach((pair, number) => find("pair").append(make("option", { value: String(number), text: pair.pair })));
    find("pair").addEventListener("change", () => show(Number(find("pair").value)));
    if (said.pairs_left_out) find("market-note").textContent = `The ${said.pairs.length} busiest pairs have charts; ${said.pairs_left_out} more are in the table below.`;
    const every = `Each point is ${lasted(said.step_s)}; of books the last good one of it.`;
    find("market-note").textContent = `${every} ${find("market-note").textContent}`;
    show(0);
  } else {
    find("market").querySelector("label").remove();
    find("market-note").textContent = "There is nothing to draw.";
  }

  // The map of holes.

  function axis(svg, left, width, y) {
    for (let part = 0; part <= 4; part++) {
      const anchor = part === 0 ? "start" : part === 4 ? "end" : "middle";
      svg.append(draw("text", { x: left + width * part / 4, y, "text-anchor": anchor, text: tick(said.begin_s + span * part / 4, span) }));
    }
  }
  function legend(items) {
    return make("div", { class: "key" }, ...items.map(([kind, words]) => {
      const box = make("i", { style: `background:var(--${kind})` });
      return make("span", {}, box, words);
    }));
  }
  (function map() {
    const place = find("map"), rows = said.map.rows, columns = said.map.columns;
    if (!rows.length) return place.append(make("p", { class: "quiet", text: "There is no subscription to show." }));
    const left = 190, width = 810, high = 20, cell = width / columns.length;
    const svg = draw("svg", { viewBox: `0 0 1000 ${rows.length * high + 24}`, role: "img", "aria-label": "How much is missing or late, by subscription and time; the table below says the same in numbers" });
    const tell = (row, at) => {
      const one = rows[row];
      return `${one.topic}, ${clock(columns[at], true)}, ${lasted(said.map.width_s)}: ${(100 * one.missing[at]).toFixed(1)} % missing, ${(100 * one.late[at]).toFixed(1)} % of what came late`;
    };
    rows.forEach((row, number) => {
      svg.append(draw("text", { x: 0, y: number * high + 14, text: row.topic.length > 30 ? `${row.topic.slice(0, 29)}…` : row.topic }));
      svg.append(draw("rect", { x: left, y: number * high + 2, width, height: high - 4, class: "good" }));
      columns.forEach((_, at) => {
        const x = left + at * cell, y = number * high + 2, tall = high - 4;
        if (row.late[at] > 0) svg.append(draw("rect", { x, y: y + tall * (1 - Math.max(0.25, row.late[at])), width: cell, height: tall * Math.max(0.25, row.late[at]), class: "late" }));
        if (row.missing[at] > 0) svg.append(draw("rect", { x, y, width: cell, height: tall * Math.max(0.25, row.missing[at]), class: "missing" }));
      });
    });
    axis(svg, left, width, rows.length * high + 18);
    const cursor = draw("rect", { class: "cursor", width: Math.max(cell, 4), height: high - 2, visibility: "hidden" });
    svg.append(cursor);
    const readout = make("output", { "aria-live": "polite" });
    const figure = make("figure", { tabindex: "0", role: "group", "aria-label": "Map of holes and lateness. Arrow keys move over it." },
      legend([["good", "on time"], ["late", "late: the higher, the more of what came"], ["missing", "missing: the longer, the more of the time"]]), svg, readout);
    let row = 0, at = -1;
    const point = () => {
      cursor.setAttribute("x", left + at * cell);
      cursor.setAttribute("y", row * high + 1);
      cursor.setAttribute("visibility", "visible");
      readout.textContent = tell(row, at);
    };
    figure.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      row = Math.min(rows.length - 1, Math.max(0, row + step[0]));
      at = Math.min(columns.length - 1, Math.max(0, at + step[1]));
      point();
    });
    svg.addEventListener("mousemove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) * 1000 / box.width - left, y = (event.clientY - box.top) * 1000 / box.width;
      if (x < 0 || x >= width || y < 0 || y >= rows.length * high) return;
      at = Math.floor(x / cell);
      row = Math.floor(y / high);
      point();
    });
    place.append(figure);
    if (said.pairs_left_out) place.append(make("p", { class: "quiet", text: "The busiest pairs are shown." }));
  })();

  // Runs, and what ended lines.

  (function runs() {
    const place = find("runs");
    if (!said.runs.length) return place.append(make("p", { class: "quiet", text: "No run is known: the store has no manifest." }));
    const causes = [...new Set(said.holes.map((one) => one.cause))].sort();
    const left = 190, width = 810, high = 24, all = causes.length + 1;
    const svg = draw("svg", { viewBox: `0 0 1000 ${all * high + 24}`, role: "img", "aria-label": "When the collector ran, and when holes began, by cause; the tables say the same in numbers" });
    const x = (at) => left + width * Math.min(1, Math.max(0, (at - said.begin_s) / span));
    svg.append(draw("text", { x: 0, y: 16, text: "runs" }));
    for (const run of said.runs) {
      const bar = draw("rect", { x: x(run.begin_s), y: 4, width: Math.max(2, x(run.end_s) - x(run.begin_s) - 1), height: high - 8, rx: 2, class: "run" });
      bar.append(draw("title", { text: `${run.run}: ${whole(run.events)} events, ${run.end}` }));
      svg.append(bar);
    }
    causes.forEach((cause, number) => {
      const y = (number + 1) * high;
      svg.append(draw("text", { x: 0, y: y + 16, text: cause }), draw("rect", { x: left, y: y + 11, width, height: 1, class: "none" }));
      for (const hole of said.holes.filter((one) => one.cause === cause)) {
        const mark = draw("rect", { x: x(hole.begin_s), y: y + 4, width: Math.max(3, x(hole.end_s) - x(hole.begin_s)), height: high - 8, rx: 1, class: hole.is_missing ? "missing" : "late" });
        mark.append(draw("title", { text: `${hole.topic}, ${clock(hole.begin_s, true)}, ${lasted(hole.end_s - hole.begin_s)}` }));
        svg.append(mark);
      }
    });
    axis(svg, left, width, all * high + 18);
    const figure = make("figure", {}, causes.length ? legend([["accent", "a run"], ["missing", "a hole in which data is missing"], ["late", "a hole that was filled"]]) : legend([["accent", "a run"]]), svg);
    if (!causes.length) figure.append(make("p", { class: "quiet", text: "No line was lost, and nothing else made a hole." }));
    const rows = said.runs.map((run) => [run.run, clock(run.begin_s, true), lasted(run.end_s - run.begin_s), whole(run.events), run.end]);
    place.append(figure, table(["run", "began", "lasted", "events", "ended"], [true, true, false, false, true], rows));
  })();

  // Tables.

  function table(heads, texts, rows, isBad) {
    const head = make("tr", {}, ...heads.map((name, at) => make("th", { text: name, scope: "col", class: texts[at] ? "text" : "number" })));
    const body = rows.map((row) => make("tr", {}, ...row.map((value, at) => {
      const cell = make("td", { text: value, class: texts[at] ? "text" : "number" });
      if (isBad && isBad(row, at)) cell.classList.add("bad");
      return cell;
    })));
    return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  }
  if (said.summary.length) {
    const rows = said.summary.map((row) => [row.topic, whole(row.events), whole(row.fetched), whole(row.late), percent(row.coverage_pct), whole(row.gaps), row.missing_s ? lasted(row.missing_s) : "–", ...row.ages.map(age)]);
    find("table").append(table(["subscription", "events", "fetched", "late", "coverage", "holes", "missing", "age, half", "95 %", "99 %"], [true], rows, (row, at) => at === 4 && row[4] !== "100.000 %" && row[4] !== "–"));
  } else find("table").append(make("p", { class: "quiet", text: "There is no subscription." }));
  if (said.holes.length) {
    const rows = said.holes.map((one) => [one.topic, clock(one.begin_s, true), one.is_open ? "open" : lasted(one.end_s - one.begin_s), one.cause, one.missed === null ? "not known" : whole(one.missed), one.filled === null ? "–" : whole(one.filled), one.is_missing ? "yes" : "no"]);
    find("holes").append(table(["subscription", "began", "lasted", "cause", "missed", "filled", "data missing"], [true, true, false, true, false, false, true], rows, (row, at) => at === 6 && row[6] === "yes"));
    if (said.holes_left_out) find("holes").append(make("p", { class: "quiet", text: `${whole(said.holes_left_out)} more are in gaps.jsonl.` }));
  } else find("holes").append(make("p", { class: "quiet", text: "There is none." }));
  if (said.seen) {
    const seen = said.seen;
    find("seen").hidden = false;
    find("seen-note").textContent = seen.names.length ? `By ${seen.engine}: how many events of a minute came from one collector alone, or from several. ${whole(seen.even)} minutes in which all had everything are left out.` : `${seen.engine} has nothing of this time.`;
    const rows = [["all", ...seen.total.map(whole)], ...seen.minutes.map((row) => [clock(row[0], true), ...row.slice(1).map(whole)])];
    if (seen.names.length) find("seen-table").append(table(["minute", ...seen.names], [true], rows));
    if (seen.left_out) find("seen-table").append(make("p", { class: "quiet", text: `${whole(seen.left_out)} more minutes are told by lbank-ws seen.` }));
  }
  document.documentElement.dataset.drawn = "yes";
})();
