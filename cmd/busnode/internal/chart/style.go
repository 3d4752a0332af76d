package chart

import (
	"fmt"
	"strings"
)

// Colors is the number of colors of the palette.
const Colors = 7

// palette holds the series' colors. They were searched for contrast of 3:1 with
// the paper and for differing under each kind of color blindness; the test of
// the palette holds them to that.
var palette = [2][Colors]string{
	{"#12459f", "#a8330a", "#06a271", "#9746f5", "#b08f10", "#e845ac", "#3b3e42"},
	{"#6d9cfa", "#e0794f", "#71f6e3", "#a02ff0", "#e2c454", "#d42a72", "#8894a6"},
}

// tones are the colors of all but the data: light, then dark.
var tones = []struct{ name, light, dark string }{
	{"paper", "#ffffff", "#12151b"},
	{"card", "#f5f7fa", "#1a1f28"},
	{"ink", "#14181f", "#eef1f6"},
	{"soft", "#545d6b", "#a9b3c2"}, // secondary text
	{"rule", "#dde2e9", "#2c3440"}, // grid lines
	{"axis", "#8a94a3", "#69748a"},
	{"shade", "#8a94a3", "#8a94a3"}, // bands, translucent
}

// rules are the style of drawings. Sizes are in units of the drawing.
const rules = `.chart{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-size:12px;max-width:100%;height:auto;overflow:visible}
.chart text{fill:var(--soft)}
.chart .paper{fill:var(--paper)}
.chart .title{font-size:17px;font-weight:600;fill:var(--ink)}
.chart .subtitle{font-size:13px}
.chart .name,.chart .value{fill:var(--ink)}
.chart .value{font-weight:600}
.chart .over{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.chart .note{font-size:11px}
.chart .grid{stroke:var(--rule);stroke-width:1}
.chart .axis{stroke:var(--axis);stroke-width:1}
.chart .line{fill:none;stroke:var(--c);stroke-width:2.25;stroke-linejoin:round;stroke-linecap:round}
.chart .dashed{stroke-dasharray:6 5;stroke-width:1.75;stroke-linecap:butt}
.chart .marker{fill:var(--c);stroke:var(--paper);stroke-width:1.25}
.chart .bar{fill:var(--c)}
.chart .area{fill:var(--c);fill-opacity:.2}
.chart .hover{fill:var(--c);fill-opacity:0}
.chart .tip:hover .hover{fill-opacity:.45}
.chart .tip:hover .bar{opacity:.75}
.chart .leader{stroke:var(--c);stroke-width:1;fill:none}
.chart .band{fill:var(--shade);fill-opacity:.16}
.chart .mark{stroke:var(--soft);stroke-width:1.25;stroke-dasharray:2 3}
`

// Style returns the style sheet of drawings, with the colors declared at scope,
// a CSS selector. A page may use the colors: --paper, --card, --ink, --soft,
// --rule, --axis and --c1 to --c7. Dark is for screens; paper is light.
func Style(scope string) string {
	var b strings.Builder
	declare := func(dark int) {
		fmt.Fprintf(&b, "%s{", scope)
		for _, t := range tones {
			fmt.Fprintf(&b, "--%s:%s;", t.name, [2]string{t.light, t.dark}[dark])
		}
		for i, c := range palette[dark] {
			fmt.Fprintf(&b, "--c%d:%s;", i+1, c)
		}
		b.WriteString("}")
	}
	declare(0)
	b.WriteString("\n@media screen and (prefers-color-scheme:dark){")
	declare(1)
	b.WriteString("}\n" + rules)
	b.WriteString(".chart .c0{--c:var(--ink)}")
	for i := range Colors {
		fmt.Fprintf(&b, ".chart .c%d{--c:var(--c%d)}", i+1, i+1)
	}
	b.WriteString("\n")
	return b.String()
}

// colorClass returns the class of a series at a place of its plot.
func (s Series) colorClass(place int) string { return fmt.Sprintf("c%d", s.slot(place)) }

// slot returns the place in the palette, 0 for ink.
func (s Series) slot(place int) int {
	switch {
	case s.Color == Ink:
		return 0
	case s.Color > 0:
		return (s.Color-1)%Colors + 1
	}
	return place%Colors + 1
}
