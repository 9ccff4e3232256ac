// The figures of a report: what ECharts is told to draw, and their numbers as tables. page.js shows them.
"use strict";

// ---------------------------------------------------------------- colours
const kColours =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b38600", "#56b4e9", "#7a5195", "#8c564b", "#5f7f1f", "#7f7f7f"];
const kDashes = ["solid", "dashed", "dotted"];
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function look(group, index) {
    const known = page.groups.indexOf(group);
    const at = known >= 0 ? known : index;
    return {colour: kColours[at % kColours.length], dash: kDashes[Math.floor(at / kColours.length) % kDashes.length]};
}

// ---------------------------------------------------------------- numbers of a figure
const short = (x) => x === null || x === undefined ? "-" : Number.isInteger(x) ? String(x) : x.toPrecision(4);
const tick = (x) => Math.abs(x) >= 1e6 ? x.toExponential(1).replace("e+", "e") : String(Number(x.toPrecision(3)));
const cells = (values) =>
    values.map((x) => typeof x === "string" ? {text: x, value: null} : {text: short(x), value: x ?? null});

function numbersOf(figure) {
    const rows = [];
    let columns = [];
    if (figure.kind === "lines") {
        columns =
            ["series", "points", "first " + figure.x, "its value", "last " + figure.x, "its value", "least", "most"];
        for (const {name, points} of figure.series) {
            const ys = points.map((p) => p[1]), last = points[points.length - 1];
            rows.push(cells([name, points.length, ...points[0], ...last, Math.min(...ys), Math.max(...ys)]));
        }
    } else if (figure.kind === "bars") {
        columns = ["series", ...figure.categories.map((c) => figure.x + " " + c)];
        for (const {name, points} of figure.series) rows.push(cells([name, ...points]));
    } else if (figure.kind === "intervals") {
        columns = ["variant", "mean", "low", "high"];
        figure.categories.forEach((c, i) => rows.push(cells([c, ...figure.series[0].points[i]])));
    } else {
        columns = ["key", "mean weight", "largest weight"];
        const weights = figure.series[0].points;
        figure.categories.forEach((token, k) => {
            const seen = weights.slice(k).map((row) => row[k]);
            rows.push(cells([k + " " + token, seen.reduce((a, b) => a + b, 0) / seen.length, Math.max(...seen)]));
        });
    }
    return {id: "numbers-" + figure.id, title: "Numbers of: " + figure.title, note: "", columns, rows};
}

// ---------------------------------------------------------------- options of ECharts
// An exponential mean without the pull of its start.
function smoothed(points, keep) {
    let mean = 0, weight = 0;
    return points.map(([x, y]) => {
        mean = keep * mean + (1 - keep) * y;
        weight = keep * weight + (1 - keep);
        return [x, mean / weight];
    });
}

function common(figure) {
    const ink = style("--ink"), line = style("--line");
    const axis = (name, type, gap) => ({
        name,
        nameLocation: "middle",
        nameGap: gap,
        type,
        scale: true,
        axisLabel: {color: ink, hideOverlap: true, formatter: type === "category" ? undefined : tick},
        nameTextStyle: {color: ink},
        axisLine: {lineStyle: {color: line}},
        splitLine: {lineStyle: {color: line}}
    });
    return {
        axis,
        ink,
        option: {
            animation: false,
            backgroundColor: style("--paper"),
            textStyle: {color: ink, fontFamily: "system-ui, sans-serif"},
            aria: {enabled: true, label: {description: describe(figure)}},
            grid: {left: 62, right: 20, top: 16, bottom: 46, containLabel: false},
            tooltip: {
                confine: true,
                backgroundColor: style("--band"),
                borderColor: line,
                textStyle: {color: ink, fontSize: 12},
                valueFormatter: (x) => Array.isArray(x) ? x.map(short).join(", ") : short(x)
            }
        }
    };
}
function describe(figure) {
    const names = figure.series.slice(0, 12).map((s) => s.name).join(", ");
    const more = figure.series.length > 12 ? " and " + (figure.series.length - 12) + " more" : "";
    return figure.title + ". " + figure.note + " Series: " + names + more + ". The numbers are in the table below it.";
}

// A logarithmic axis over just the values, with about five ticks; ECharts' own ends at powers of ten.
function logarithmic(axis, values) {
    const above = values.filter((x) => x > 0), least = Math.min(...above) / 1.02, most = Math.max(...above) * 1.02;
    return {
        ...axis,
        type: "log",
        logBase: Math.max(1.001, (most / least) ** 0.2),
        min: least,
        max: most,
        axisLabel: {...axis.axisLabel, showMinLabel: false, showMaxLabel: false}
    };
}

function lines(state) {
    const {figure} = state, {axis, option} = common(figure);
    const shown = figure.series.map((s, i) => ({...s, ...look(s.group, i)})).filter((s) => !state.hidden.has(s.group));
    const line = (s, points, more) => ({
        type: "line",
        name: s.name,
        data: points,
        showSymbol: points.length < 30,
        symbolSize: 5,
        lineStyle: {width: 1.6, type: s.dashed ? "dashed" : s.dash, ...more},
        itemStyle: {color: s.colour},
        emphasis: {focus: "series"},
        color: s.colour
    });
    const series = [];
    for (const s of shown) {
        if (state.smoothing > 0)
            series.push({...line(s, s.points, {width: 0.8, opacity: 0.25}), silent: true, tooltip: {show: false}});
        series.push(line(s, state.smoothing > 0 ? smoothed(s.points, state.smoothing) : s.points, {}));
    }
    const scaled = (axis, log, at) => log ? logarithmic(axis, shown.flatMap((s) => s.points.map((p) => p[at]))) : axis;
    return {
        ...option,
        series,
        tooltip: {...option.tooltip, trigger: shown.length > 12 ? "item" : "axis"},
        xAxis: scaled(axis(figure.x, "value", 28), figure.log_x, 0),
        yAxis: scaled(axis(figure.y, "value", 46), state.logY, 1),
        dataZoom: [{
            type: "inside",
            xAxisIndex: 0,
            zoomOnMouseWheel: "ctrl",
            filterMode: "none",
            start: state.from,
            end: state.to
        }]
    };
}

function bars(state) {
    const {figure} = state, {axis, option} = common(figure);
    const shown = figure.series.map((s, i) => ({...s, ...look(s.group, i)})).filter((s) => !state.hidden.has(s.group));
    return {
        ...option,
        tooltip: {...option.tooltip, trigger: "axis", axisPointer: {type: "shadow"}},
        xAxis: {...axis(figure.x, "category", 28), data: figure.categories},
        yAxis: {...axis(figure.y, "value", 46), scale: false},
        series: shown.map((s) => ({
                              type: "bar",
                              name: s.name,
                              data: s.points,
                              itemStyle: {
                                  color: s.colour,
                                  decal: s.dash === "solid" ?
                                      undefined :
                                      {dashArrayX: [1, 0], dashArrayY: [3, 3], rotation: 0.8, color: style("--paper")}
                              }
                          }))
    };
}

function intervals(state) {
    const {figure} = state, {axis, option, ink} = common(figure);
    const points = figure.series[0].points;
    const bar = (params, api) => {
        const row = points[params.dataIndex];
        if (row[1] === null) return {type: "group", children: []};
        const [x0, y] = api.coord([row[1], params.dataIndex]), [x1] = api.coord([row[2], params.dataIndex]);
        const stroke = (shape) => ({type: "line", shape, style: {stroke: ink, lineWidth: 1.6}});
        return {
            type: "group",
            children: [
                stroke({x1: x0, y1: y, x2: x1, y2: y}), stroke({x1: x0, y1: y - 5, x2: x0, y2: y + 5}),
                stroke({x1: x1, y1: y - 5, x2: x1, y2: y + 5})
            ]
        };
    };
    const all = points.flat().filter((x) => x !== null).concat(0);
    const least = Math.min(...all), most = Math.max(...all), room = 0.05 * (most - least) || 1;
    return {
        ...option,
        grid: {...option.grid, left: 190},
        tooltip: {
            ...option.tooltip,
            trigger: "item",
            formatter: (p) => figure.categories[p.dataIndex].replace(/[<&]/g, "") + ": " +
                short(points[p.dataIndex][0]) +
                (points[p.dataIndex][1] === null ? "" : " [" + points[p.dataIndex].slice(1).map(short).join(", ") + "]")
        },
        xAxis: {
            ...axis(figure.y, "value", 28),
            min: least - room,
            max: most + room,
            axisLabel: {color: ink, formatter: tick, showMinLabel: false, showMaxLabel: false}
        },
        yAxis: {...axis("", "category", 0), data: figure.categories, inverse: true},
        series: [
            {type: "custom", renderItem: bar, data: points.map((row, i) => [row[0], i]), silent: true}, {
                type: "scatter",
                name: "difference",
                symbolSize: 9,
                data: points.map((row, i) => [row[0], i]),
                itemStyle: {color: kColours[0]},
                markLine: {
                    silent: true,
                    symbol: "none",
                    label: {show: false},
                    lineStyle: {color: style("--quiet")},
                    data: [{xAxis: 0}]
                }
            }
        ]
    };
}

function map(state) {
    const {figure} = state, {axis, option, ink} = common(figure);
    const weights = figure.series[0].points, data = [];
    weights.forEach((row, q) => row.forEach((w, k) => k <= q && data.push([k, q, Math.sqrt(w)])));
    const label = {...axis("", "category", 0).axisLabel, interval: "auto", width: 60, overflow: "truncate"};
    const dark = document.documentElement.dataset.theme === "dark";
    return {
        ...option,
        grid: {...option.grid, left: 80, right: 50, bottom: 60},
        tooltip: {
            ...option.tooltip,
            formatter:
                ({data: [k, q, root]}) => ["query " + q + ": " + figure.categories[q],
                                           "key " + k + ": " + figure.categories[k], "weight " + short(root * root)]
                                              .map((s) => s.replace(/&/g, "&amp;").replace(/</g, "&lt;"))
                                              .join("<br>")
        },
        xAxis: {...axis(figure.x, "category", 40), data: figure.categories, axisLabel: label, splitLine: {show: false}},
        yAxis: {
            ...axis(figure.y, "category", 62),
            data: figure.categories,
            axisLabel: label,
            inverse: true,
            splitLine: {show: false}
        },
        visualMap: {
            text: ["1", "0"],
            textStyle: {color: ink},
            itemHeight: 120,
            right: 0,
            top: "middle",
            min: 0,
            max: 1,
            dimension: 2,
            inRange: {color: dark ? ["#14181d", "#1f5f8b", "#f2d16b"] : ["#ffffff", "#3f8fc4", "#08306b"]}
        },
        series: [{type: "heatmap", name: "weight", data, progressive: 20000}]
    };
}
const kKinds = {
    lines,
    bars,
    intervals,
    map
};
