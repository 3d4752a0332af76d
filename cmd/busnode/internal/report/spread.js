"use strict";
// The animation of a rumor's spread, on a canvas. Without motion, and on paper,
// it shows the last frame.
(() => {
	const data = JSON.parse(document.getElementById("spread-data").textContent);
	const figure = document.getElementById("spread-figure");
	const canvas = figure.querySelector("canvas");
	const play = figure.querySelector(".play");
	const slider = figure.querySelector("input[type=range]");
	const speed = figure.querySelector("select");
	const links = figure.querySelector(".links input");
	const readout = figure.querySelector(".readout");
	const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
	const seconds = 7; // of the whole way at speed 1
	const nodes = data.x.map((_, i) => i);
	const arrivals = data.at.filter((at) => at !== null).sort((a, b) => a - b);
	const end = data.end > 0 ? data.end : 1;
	const reached = (t) => {
		let low = 0, high = arrivals.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (arrivals[middle] <= t + 1e-9) low = middle + 1; else high = middle;
		}
		return low;
	};
	const ranks = data.at.map((at) => at === null || at === 0 ? 0 : Math.round(reached(at) / arrivals.length * 64));
	let now = 1; // share of the way
	let playing = false;
	let last = 0;
	let size = 0;
	let colors = {};
	let hovered = -1;

	figure.querySelector(".controls").hidden = false;
	figure.querySelector(".ramp").hidden = false;
	links.closest("label").hidden = data.edges.length === 0;

	const parse = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
	const readColors = () => {
		const style = getComputedStyle(document.documentElement);
		const get = (name) => style.getPropertyValue("--" + name).trim();
		colors = { ramp: get("ramp").split(",").map((c) => parse(c.trim())), paper: get("paper"),
			rule: get("rule"), axis: get("axis"), soft: get("soft"), ink: get("ink") };
		colors.table = Array.from({ length: 65 }, (_, i) => {
			const at = i / 64 * (colors.ramp.length - 1);
			const low = Math.min(Math.floor(at), colors.ramp.length - 2);
			const mixed = colors.ramp[low].map((c, j) => Math.round(c + (colors.ramp[low + 1][j] - c) * (at - low)));
			return "rgb(" + mixed.join(",") + ")";
		});
	};
	// Colors go by order of arrival: a straggler does not take the range from the rest.
	const colorOf = (i) => colors.table[ranks[i]];

	const format = (t) => {
		if (data.cycles) return "cycle " + Math.floor(t + 1e-9);
		const digits = (v) => v.toPrecision(v < 1000 ? 3 : 4).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
		if (t >= 1) return digits(t) + "\u00a0s";
		return t >= 1e-3 || t === 0 ? digits(t * 1e3) + "\u00a0ms" : digits(t * 1e6) + "\u00a0µs";
	};
	const describe = (i) => {
		if (data.at[i] === null) return data.name[i] + ": never reached";
		const from = data.parent[i] < 0 ? "the origin" : "from " + data.name[data.parent[i]];
		return data.name[i] + ": " + format(data.at[i]) + ", hop " + data.hop[i] + ", " + from;
	};
	const tell = () => {
		const t = now * end;
		const some = data.x.length < data.total ? " drawn nodes" : " nodes";
		const text = hovered >= 0 ? describe(hovered)
			: format(t) + ": " + reached(t).toLocaleString("en") + " of " + data.x.length.toLocaleString("en") + some;
		if (readout.textContent !== text) readout.textContent = text;
		slider.setAttribute("aria-valuetext", format(t));
	};

	// Positions in pixels of the canvas.
	const radius = () => size / 2 - 14;
	const px = (i) => size / 2 + data.x[i] * radius();
	const py = (i) => size / 2 + data.y[i] * radius();

	const drawRings = (c) => {
		c.strokeStyle = colors.rule;
		c.lineWidth = 1;
		for (const ring of data.rings) {
			c.beginPath();
			c.arc(size / 2, size / 2, ring * radius(), 0, 2 * Math.PI);
			c.stroke();
		}
	};
	const drawLinks = (c) => {
		c.strokeStyle = colors.axis;
		c.globalAlpha = Math.max(0.05, Math.min(0.25, 400 / data.edges.length));
		c.lineWidth = 1;
		c.beginPath();
		for (const [a, b] of data.edges) {
			c.moveTo(px(a), py(a));
			c.lineTo(px(b), py(b));
		}
		c.stroke();
		c.globalAlpha = 1;
	};
	// A link of the tree grows while the rumor is under way, shines as it arrives,
	// and stays.
	const drawTree = (c, t) => {
		const flight = data.flight > 0 ? data.flight : end / 10;
		const [thick, fade] = nodes.length <= 300 ? [1.8, 0.15] : [0.9, 0.5];
		for (const i of nodes) {
			const p = data.parent[i];
			if (p < 0 || data.at[i] === null) continue;
			const leave = Math.max(data.at[p], data.at[i] - flight);
			if (t < leave) continue;
			const share = t >= data.at[i] ? 1 : (t - leave) / Math.max(data.at[i] - leave, 1e-9);
			const age = now >= 1 ? 1 : Math.min(1, Math.max(0, t - data.at[i]) / flight);
			c.strokeStyle = colorOf(i);
			c.globalAlpha = 0.95 - fade * age;
			c.lineWidth = thick + 1 - age;
			c.beginPath();
			c.moveTo(px(p), py(p));
			c.lineTo(px(p) + share * (px(i) - px(p)), py(p) + share * (py(i) - py(p)));
			c.stroke();
		}
		c.globalAlpha = 1;
	};
	const drawNodes = (c, t) => {
		const r = Math.max(1.6, Math.min(6, size / 11 / Math.sqrt(nodes.length)));
		const flight = data.flight > 0 ? data.flight : end / 10;
		for (const i of nodes) {
			const here = data.at[i] !== null && data.at[i] <= t + 1e-9;
			c.beginPath();
			if (!here) {
				c.arc(px(i), py(i), r * 0.8, 0, 2 * Math.PI);
				c.fillStyle = colors.paper;
				c.fill();
				c.strokeStyle = colors.axis;
				c.lineWidth = 1;
				c.stroke();
				continue;
			}
			const fresh = now >= 1 ? 0 : 1 - Math.min(1, (t - data.at[i]) / flight);
			const origin = data.hop[i] === 0 ? 1.7 : 1;
			c.arc(px(i), py(i), r * origin * (1 + 0.7 * fresh), 0, 2 * Math.PI);
			c.fillStyle = colorOf(i);
			c.fill();
		}
		if (hovered >= 0) {
			c.strokeStyle = colors.ink;
			c.lineWidth = 2;
			c.beginPath();
			for (let i = hovered; i >= 0 && data.parent[i] >= 0; i = data.parent[i]) {
				c.moveTo(px(i), py(i));
				c.lineTo(px(data.parent[i]), py(data.parent[i]));
			}
			c.moveTo(px(hovered) + r + 3, py(hovered));
			c.arc(px(hovered), py(hovered), r + 3, 0, 2 * Math.PI);
			c.stroke();
		}
	};
	const draw = () => {
		const box = canvas.getBoundingClientRect();
		if (box.width === 0) return;
		const ratio = Math.max(devicePixelRatio || 1, 1);
		size = box.width;
		const wanted = Math.round(size * ratio);
		if (canvas.width !== wanted) canvas.width = canvas.height = wanted;
		const c = canvas.getContext("2d");
		c.setTransform(ratio, 0, 0, ratio, 0, 0);
		c.clearRect(0, 0, size, size);
		const t = now * end;
		drawRings(c);
		if (links.checked) drawLinks(c);
		drawTree(c, t);
		drawNodes(c, t);
		tell();
	};

	const setPlaying = (on) => {
		playing = on;
		play.textContent = on ? "Pause" : "Play";
		// A status that changes with each frame is no help to who listens to it.
		readout.setAttribute("aria-live", on ? "off" : "polite");
		if (!on) return;
		if (now >= 1) now = 0;
		last = 0;
		requestAnimationFrame(frame);
	};
	const frame = (time) => {
		if (!playing) return;
		if (last) now = Math.min(1, now + (time - last) / 1000 / seconds * Number(speed.value));
		last = time;
		slider.value = String(Math.round(now * 1000));
		draw();
		if (now >= 1) setPlaying(false); else requestAnimationFrame(frame);
	};

	play.addEventListener("click", () => setPlaying(!playing));
	slider.addEventListener("input", () => {
		setPlaying(false);
		now = Number(slider.value) / 1000;
		draw();
	});
	links.addEventListener("change", draw);
	canvas.addEventListener("pointermove", (event) => {
		const box = canvas.getBoundingClientRect();
		let best = 12;
		let nearest = -1;
		for (const i of nodes) {
			const d = Math.hypot(px(i) - (event.clientX - box.left), py(i) - (event.clientY - box.top));
			if (d < best) [best, nearest] = [d, i];
		}
		if (nearest !== hovered) {
			hovered = nearest;
			if (!playing) draw();
		}
	});
	canvas.addEventListener("pointerleave", () => {
		hovered = -1;
		if (!playing) draw();
	});
	const recolor = () => {
		readColors();
		draw();
	};
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
	addEventListener("beforeprint", () => {
		setPlaying(false);
		now = 1;
		recolor();
	});
	addEventListener("afterprint", recolor);
	new ResizeObserver(draw).observe(canvas);
	readColors();
	draw();
	if (!still) {
		// It begins by itself when it comes into sight, once.
		const watch = new IntersectionObserver((entries) => {
			if (!entries.some((entry) => entry.isIntersecting)) return;
			watch.disconnect();
			setPlaying(true);
		}, { threshold: 0.6 });
		watch.observe(canvas);
	}
})();
