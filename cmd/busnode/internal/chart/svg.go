package chart

import (
	"math"
	"strconv"
	"strings"
)

// drawing is an svg element in the making.
type drawing struct {
	width, height float64
	b             strings.Builder
}

// number writes a length with at most two decimals. Halves go up, and so do those
// that rounding errors, which differ between processors, put a hair below.
func number(v float64) string {
	text := strconv.FormatFloat(math.Floor(v*100+0.5+1e-6)/100, 'f', -1, 64)
	if text == "-0" {
		return "0"
	}
	return text
}

// escaper makes text of what may be markup. Characters that XML forbids go.
var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

func escape(text string) string {
	legal := func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < 0x20 || r == 0xFFFE || r == 0xFFFF:
			return -1
		}
		return r
	}
	return escaper.Replace(strings.Map(legal, strings.ToValidUTF8(text, "\uFFFD")))
}

// open begins an element. Attributes are pairs of a name and a string or a
// float64; empty strings are left out.
func (d *drawing) open(name string, attributes ...any) {
	d.tag(name, attributes)
	d.b.WriteString(">")
}

// leaf writes an element without content.
func (d *drawing) leaf(name string, attributes ...any) {
	d.tag(name, attributes)
	d.b.WriteString("/>\n")
}

func (d *drawing) tag(name string, attributes []any) {
	d.b.WriteString("<" + name)
	for i := 0; i+1 < len(attributes); i += 2 {
		value := ""
		switch v := attributes[i+1].(type) {
		case float64:
			value = number(v)
		case string:
			value = escape(v)
		}
		if value != "" {
			d.b.WriteString(" " + attributes[i].(string) + `="` + value + `"`)
		}
	}
}

func (d *drawing) end(name string) { d.b.WriteString("</" + name + ">\n") }

// text writes one line; anchor is "", "middle" or "end".
func (d *drawing) text(x, y float64, class, anchor, text string) {
	d.open("text", "class", class, "x", x, "y", y, "text-anchor", anchor)
	d.b.WriteString(escape(text) + "</text>\n")
}

// title writes the tooltip of the element that was opened before.
func (d *drawing) title(text string) {
	d.b.WriteString("<title>" + escape(text) + "</title>")
}

func (d *drawing) viewBox() string { return "0 0 " + number(d.width) + " " + number(d.height) }

// standalone returns the drawing as a file.
func (d *drawing) standalone(title, description string) []byte {
	var f drawing
	f.open("svg", "xmlns", "http://www.w3.org/2000/svg", "class", "chart", "viewBox", d.viewBox(),
		"width", d.width, "height", d.height, "role", "img", "aria-label", description)
	f.b.WriteString("\n")
	f.open("title")
	f.b.WriteString(escape(title) + "</title>\n")
	f.open("desc")
	f.b.WriteString(escape(description) + "</desc>\n<style>\n" + Style(".chart") + "</style>\n")
	f.leaf("rect", "class", "paper", "width", d.width, "height", d.height)
	f.b.WriteString(d.b.String())
	f.end("svg")
	return []byte(f.b.String())
}

// fragment returns the drawing as an element of a page.
func (d *drawing) fragment(class, description string) string {
	var f drawing
	f.open("svg", "class", strings.TrimSpace("chart "+class), "viewBox", d.viewBox(),
		"role", "img", "aria-label", description)
	f.b.WriteString("\n" + d.b.String() + "</svg>")
	return f.b.String()
}

// textWidth estimates the width of a line in a common sans-serif face, rather
// too wide than too narrow: no font is at hand when a plot is drawn.
func textWidth(text string, size float64) float64 {
	w := 0.0
	for _, r := range text {
		switch {
		case strings.ContainsRune(" \u00a0.,:;'|!()[]ijlt·", r):
			w += 0.36
		case strings.ContainsRune("mwMW%—", r):
			w += 0.94
		case r >= 0x2E80:
			w++
		case r >= 'A' && r <= 'Z':
			w += 0.7
		default:
			w += 0.6
		}
	}
	return w * size
}

// wrap breaks text into lines that fit a width.
func wrap(text string, size, width float64) []string {
	var lines []string
	line := ""
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\n' }) {
		switch {
		case line == "":
			line = word
		case textWidth(line+" "+word, size) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
