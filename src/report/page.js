// Draws a report: tables that sort, and figures by ECharts. `page` is what src/report/page.h describes.
"use strict";
const page = JSON.parse(document.getElementById("data").textContent);
const charts = [];  // {figure, element, chart, hidden, smoothing, logY}

// ---------------------------------------------------------------- elements
function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
        if (key.startsWith("on"))
            element[key] = value;
        else if (value !== undefined && value !== false)
            element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
}

// ---------------------------------------------------------------- tables
function drawTable(table) {
    const numeric = table.columns.map((_, c) => table.rows.some((row) => row[c].value !== null));
    const body = make("tbody");
    const draw = (cell, c) => c === 0 ? make("th", {scope: "row", class: "text"}, cell.text) :
                                        make("td", {class: numeric[c] ? undefined : "text"}, cell.text);
    const fill = (rows) => body.replaceChildren(...rows.map((row) => make("tr", {}, ...row.map(draw))));
    const heads = table.columns.map((title, c) => {
        const head = make("th", {scope: "col", class: numeric[c] ? undefined : "text"});
        head.append(make("button", {type: "button", onclick: () => sortBy(c)}, title));
        return head;
    });
    // Once up, once down, then as they came. What has no number stands last.
    let sorted = -1, direction = 1;
    function sortBy(c) {
        if (sorted !== c)
            [sorted, direction] = [c, 1];
        else if (direction === 1)
            direction = -1;
        else
            sorted = -1;
        for (const head of heads) head.removeAttribute("aria-sort");
        if (sorted < 0) return fill(table.rows);
        heads[c].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
        const key = (row) => numeric[c] ? row[c].value : row[c].text;
        fill([...table.rows].sort((a, b) => {
            const x = key(a), y = key(b);
            if (x === null || y === null) return (x === null) - (y === null);
            return direction * (x < y ? -1 : x > y ? 1 : 0);
        }));
    }
    fill(table.rows);
    const caption = make("h3", {id: table.id}, table.title);
    const drawn = make("table", {"aria-labelledby": table.id}, make("thead", {}, make("tr", {}, ...heads)), body);
    const note = table.note ? [make("p", {class: "quiet"}, table.note)] : [];
    return [
        caption, ...note,
        make("div", {class: "scroll", tabindex: "0", role: "region", "aria-labelledby": table.id}, drawn)
    ];
}

// ---------------------------------------------------------------- figures
function draw(state) {
    if (!state.chart) {
        // A map has a rectangle for each weight: too many for SVG.
        state.chart = echarts.init(state.element, null, {renderer: state.figure.kind === "map" ? "canvas" : "svg"});
        state.chart.on("datazoom", () => {
            const zoom = state.chart.getOption().dataZoom[0];
            [state.from, state.to] = [zoom.start, zoom.end];
        });
    }
    state.chart.setOption(kKinds[state.figure.kind](state), {notMerge: true});
}

function zoom(state, factor) {
    const middle = (state.from + state.to) / 2, half = Math.min(50, (state.to - state.from) / 2 * factor);
    state.from = Math.max(0, Math.min(middle - half, 100 - 2 * half));
    state.to = state.from + 2 * half;
    draw(state);
}
function shift(state, by) {
    const width = state.to - state.from;
    state.from = Math.max(0, Math.min(100 - width, state.from + by * width));
    state.to = state.from + width;
    draw(state);
}

function controlsOf(state) {
    const {figure} = state, controls = make("div", {class: "controls"});
    if (figure.kind !== "lines") return controls;
    const button = (text, label, act) =>
        make("button", {type: "button", "aria-label": label + ", " + figure.title, onclick: act}, text);
    controls.append(
        button("+", "zoom in", () => zoom(state, 0.5)), button("\u2212", "zoom out", () => zoom(state, 2)),
        button("\u2190", "move left", () => shift(state, -0.5)),
        button("\u2192", "move right", () => shift(state, 0.5)), button("all", "show all", () => zoom(state, 1e9)));
    const change = (key, of) => (event) => {
        state[key] = of(event.target);
        draw(state);
    };
    const logarithmic = make("input", {type: "checkbox", onchange: change("logY", (input) => input.checked)});
    logarithmic.checked = state.logY;
    controls.append(make("label", {}, logarithmic, " logarithmic"));
    if (!figure.smooth) return controls;
    const smoothing = make("input", {type: "range", min: 0, max: 0.98, step: 0.02, value: state.smoothing});
    smoothing.oninput = change("smoothing", (input) => Number(input.value));
    controls.append(make("label", {}, "smoothing ", smoothing));
    return controls;
}

function legendOf(state) {
    const {figure} = state, seen = new Set();
    const legend = make("div", {class: "legend", role: "group", "aria-label": "series of " + figure.title});
    figure.series.forEach((series, i) => {
        if (seen.has(series.group) || figure.kind === "intervals" || figure.kind === "map") return;
        seen.add(series.group);
        const {colour, dash} = look(series.group, i);
        const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        swatch.innerHTML = "<line x1=\"0\" x2=\"26\" y1=\"6\" y2=\"6\" stroke-width=\"3\"/>";
        swatch.firstChild.setAttribute("stroke", colour);
        if (dash !== "solid" || series.dashed)
            swatch.firstChild.setAttribute("stroke-dasharray", dash === "dotted" ? "2 3" : "6 3");
        const toggle = make("button", {type: "button", "aria-pressed": "true"}, swatch, series.group);
        toggle.onclick = () => {
            const hide = !state.hidden.has(series.group);
            hide ? state.hidden.add(series.group) : state.hidden.delete(series.group);
            toggle.setAttribute("aria-pressed", String(!hide));
            draw(state);
        };
        legend.append(toggle);
    });
    return seen.size > 1 ? legend : "";
}

function drawFigure(figure) {
    const element = make("div", {class: "chart", id: "chart-" + figure.id});
    const state =
        {figure, element, hidden: new Set(), smoothing: figure.smooth ? 0.6 : 0, logY: figure.log_y, from: 0, to: 100};
    if (figure.kind === "intervals") element.style.height = 5 + 1.6 * figure.categories.length + "rem";
    if (figure.kind === "map") element.style.height = "34rem";
    charts.push(state);
    const numbers = make("details", {}, make("summary", {}, "Numbers"));
    numbers.addEventListener(
        "toggle", () => numbers.children.length === 1 && numbers.append(...drawTable(numbersOf(figure)).slice(1)),
        {once: true});
    return make(
        "figure", {class: figure.smooth || figure.id.startsWith("ladder") ? "wide" : undefined, id: figure.id},
        make("h3", {}, figure.title), controlsOf(state), element, legendOf(state),
        make("figcaption", {class: "quiet"}, figure.note), numbers);
}

// ---------------------------------------------------------------- the page
function useTheme(theme) {
    const dark = theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    for (const state of charts)
        if (state.chart) draw(state);
}
function drawAll() {
    for (const state of charts) draw(state);
}

const theme = make(
    "select", {id: "theme", onchange: () => useTheme(theme.value)},
    ...["auto", "light", "dark"].map((name) => make("option", {value: name}, name)));
const main = document.querySelector("main");
document.querySelector("header").append(make("label", {class: "theme"}, "theme ", theme));
document.querySelector("nav").append(make(
    "ul", {}, ...page.sections.map((section, i) => make("li", {}, make("a", {href: "#section-" + i}, section.title)))));
if (page.warnings.length > 0)
    main.append(make(
        "section", {class: "warnings", "aria-label": "warnings"},
        make("ul", {}, ...page.warnings.map((text) => make("li", {}, text)))));
page.sections.forEach((section, i) => {
    const drawn = make("section", {"aria-labelledby": "section-" + i}, make("h2", {id: "section-" + i}, section.title));
    for (const table of section.tables) drawn.append(...drawTable(table));
    if (section.figures.length > 0) drawn.append(make("div", {class: "figures"}, ...section.figures.map(drawFigure)));
    main.append(drawn);
});
useTheme("auto");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => useTheme(theme.value));

// A chart is drawn when it comes near; all of them before the page is printed, in light colours.
const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
        const state = charts.find((s) => s.element === entry.target);
        if (entry.isIntersecting && !state.chart) draw(state);
    }
}, {rootMargin: "600px"});
for (const state of charts) near.observe(state.element);
addEventListener("resize", () => charts.forEach((state) => state.chart && state.chart.resize()));
// Its charts are as wide as a sheet of A4 or Letter leaves room for: the window may be wider.
function widen(width) {
    for (const state of charts) {
        state.element.style.width = width;
        if (state.chart) state.chart.resize();
    }
}
addEventListener("beforeprint", () => {
    document.documentElement.dataset.theme = "light";
    widen("17cm");
    drawAll();
});
addEventListener("afterprint", () => {
    widen("");
    useTheme(theme.value);
});
window.report = {
    page,
    charts,
    drawAll,
    useTheme
};  // for tests
