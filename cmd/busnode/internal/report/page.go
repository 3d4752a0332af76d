package report

import (
	"bytes"
	_ "embed" // the page's parts
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strconv"
	"strings"

	"github.com/busnode/busnode/cmd/busnode/internal/chart"
)

var (
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
	//go:embed spread.js
	spreadJS string
)

// page is a page in the making. It is written by hand: html/template calls methods
// by name, so that the linker keeps every method of the program, 4 MB of them.
type page struct{ b bytes.Buffer }

// raw adds what is markup already.
func (p *page) raw(markup string) { p.b.WriteString(markup) }

// put adds markup with texts in the places of its %s, in content or in quoted
// attributes. Every text is escaped.
func (p *page) put(markup string, texts ...string) {
	escaped := make([]any, len(texts))
	for i, text := range texts {
		escaped[i] = escape(text)
	}
	fmt.Fprintf(&p.b, markup, escaped...)
}

// some is put if the text is not empty.
func (p *page) some(markup, text string) {
	if text != "" {
		p.put(markup, text)
	}
}

// escape makes text of what may be markup. Control characters, which HTML does
// not allow, become the replacement character.
func escape(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7F && r < 0xA0 {
			return '\uFFFD'
		}
		return r
	}, text))
}

// Write writes the page. It writes nothing if it cannot make all of it; its
// errors are otherwise w's.
func Write(w io.Writer, r Report) error {
	var p page
	sections := r.sections()
	p.head(r)
	p.tiles(r.Tiles)
	if len(sections) > 1 {
		p.raw("<nav aria-label=\"Sections\"><ul>")
		for _, s := range sections {
			p.put(`<li><a href="#%s">%s</a></li>`, s.ID, s.Title)
		}
		p.raw("</ul></nav>\n")
	}
	for _, s := range sections {
		if err := p.section(s); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	p.repeat(r)
	p.raw("</main>\n<script>\n" + pageJS + "</script>\n</body>\n</html>\n")
	_, err := w.Write(p.b.Bytes())
	return err
}

func (p *page) head(r Report) {
	p.raw(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
`)
	p.put("<meta name=\"generator\" content=\"%s\">\n", strings.TrimSpace("busnode "+r.Version))
	p.put("<title>%s</title>\n", r.Title)
	p.raw("<style>\n" + chart.Style(":root") + pageCSS + "</style>\n</head>\n<body>\n<header>\n")
	p.put("<h1>%s</h1>\n", r.Title)
	p.some("<p class=\"lead\">%s</p>\n", r.Lead)
	p.raw("</header>\n<main>\n")
}

func (p *page) tiles(tiles []Tile) {
	if len(tiles) == 0 {
		return
	}
	p.raw("<dl class=\"tiles\">\n")
	for _, t := range tiles {
		text := t.Text
		if text == "" {
			text = chart.Format(t.Unit, t.Value)
		}
		p.put(`<div class="tile"><dt>%s</dt><dd><strong>%s</strong>`, t.Name, text)
		p.some("<span>%s</span>", t.Note)
		p.raw("</dd></div>\n")
	}
	p.raw("</dl>\n")
}

func (p *page) section(s section) error {
	p.put("<section id=\"%s\" aria-labelledby=\"%s-title\">\n<h2 id=\"%s-title\">%s</h2>\n", s.ID, s.ID, s.ID, s.Title)
	p.some("<p>%s</p>\n", s.Text)
	if s.Spread != nil {
		if err := p.spread(s.Spread); err != nil {
			return err
		}
	}
	if len(s.Figures) > 0 {
		p.raw("<div class=\"figures\">\n")
		for _, f := range s.Figures {
			p.figure(f)
		}
		p.raw("</div>\n")
	}
	for _, t := range s.Tables {
		p.put("<figure class=\"table\">\n<figcaption><h3>%s</h3></figcaption>\n", t.Title)
		p.grid(t.Data)
		p.some("<p class=\"note\">%s</p>\n", t.Note)
		p.raw("</figure>\n")
	}
	p.raw("</section>\n")
	return nil
}

func (p *page) figure(f figure) {
	class := ""
	if f.Half {
		class = ` class="half"`
	}
	p.raw("<figure" + class + ">\n")
	p.put("<figcaption><h3>%s</h3>", f.Title)
	p.some("<p>%s</p>", f.Subtitle)
	p.raw("</figcaption>\n" + f.Wide + "\n" + f.Narrow + "\n")
	p.some("<p class=\"note\">%s</p>\n", f.Note)
	p.details(f.Data)
	p.raw("</figure>\n")
}

// details adds a table that the reader opens.
func (p *page) details(g *grid) {
	if g == nil || len(g.Rows) == 0 {
		return
	}
	p.raw("<details><summary>Data</summary>\n")
	p.grid(g)
	if g.Thinned {
		p.raw("<p class=\"note\">Evenly chosen rows of more.</p>\n")
	}
	p.raw("</details>\n")
}

func (p *page) grid(g *grid) {
	p.put("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"%s: data\">\n<table><thead>\n", g.Label)
	if len(g.Groups) > 0 {
		p.raw("<tr class=\"groups\">")
		for _, group := range g.Groups {
			markup := `<th scope="colgroup" colspan="%s">%s</th>`
			if group.Name == "" {
				markup = `<td colspan="%s">%s</td>`
			}
			p.put(markup, strconv.Itoa(max(1, group.Columns)), group.Name)
		}
		p.raw("</tr>\n")
	}
	p.cells(`th scope="col"`, "th", g.Headers)
	p.raw("</thead>\n<tbody>\n")
	for _, row := range g.Rows {
		p.cells("td", "td", row)
	}
	p.raw("</tbody></table></div>\n")
}

// cells adds a row; begin is the elements' name with its attributes.
func (p *page) cells(begin, name string, row []cell) {
	p.raw("<tr>")
	for _, c := range row {
		p.raw("<" + begin)
		if c.Number {
			p.raw(` class="n"`)
		}
		p.put(">%s", c.Text)
		p.raw("</" + name + ">")
	}
	p.raw("</tr>\n")
}

// spread adds the animation. Its data is JSON, in which encoding/json escapes <,
// > and &: no text in it ends the script.
func (p *page) spread(s *spreadFigure) error {
	data, err := json.Marshal(s.Data)
	if err != nil {
		return err
	}
	p.put("<p>%s</p>\n<figure class=\"spread\" id=\"spread-figure\">\n<canvas role=\"img\" aria-label=\"%s\"></canvas>\n",
		s.Text, s.Label)
	p.raw(`<div class="controls" hidden>
<button type="button" class="play">Play</button>
<label class="scrub"><span class="hide">Time</span><input type="range" min="0" max="1000" value="1000" step="1"></label>
<label>Speed <select>
<option value="0.25">¼</option><option value="0.5">½</option><option value="1" selected>1</option>
<option value="2">2</option><option value="4">4</option>
</select></label>
<label class="links"><input type="checkbox" checked> all links</label>
</div>
<div class="below"><p class="readout" role="status"></p>
<p class="ramp" hidden><span>first</span><i></i><span>last</span></p></div>
<noscript><p class="note">The animation needs JavaScript; the table has its data.</p></noscript>
`)
	p.some("<p class=\"note\">%s</p>\n", s.Note)
	p.details(s.Hops)
	p.raw("</figure>\n<script type=\"application/json\" id=\"spread-data\">" + string(data) + "</script>\n")
	p.raw("<script>\n" + spreadJS + "</script>\n")
	return nil
}

// repeat adds what it takes to repeat the run.
func (p *page) repeat(r Report) {
	parameters := []Parameter{{"seed", r.Seed}, {"version", r.Version}, {"simulated time", r.Duration}}
	parameters = append(parameters, r.Parameters...)
	if r.Command == "" && r.Seed+r.Version+r.Duration == "" && len(r.Parameters) == 0 {
		return
	}
	p.raw("<section id=\"repeat\" aria-labelledby=\"repeat-title\">\n<h2 id=\"repeat-title\">To repeat it</h2>\n")
	if r.Command != "" {
		p.raw("<div class=\"command\"><pre tabindex=\"0\" aria-label=\"command line\"><code id=\"command\">")
		for _, part := range arguments(r.Command) {
			p.put("<span>%s</span>", part)
		}
		p.raw("</code></pre>\n<button type=\"button\" id=\"copy\" hidden>Copy</button></div>\n")
	}
	p.raw("<dl class=\"parameters\">\n")
	for _, one := range parameters {
		if one.Value != "" {
			p.put("<div><dt>%s</dt><dd>%s</dd></div>\n", one.Name, one.Value)
		}
	}
	p.raw("</dl>\n</section>\n")
}

// arguments cuts a command line before each flag, so that no line breaks between
// a flag and its value if there is room.
func arguments(command string) []string {
	var parts []string
	for {
		i := strings.Index(command, " -")
		if i < 0 {
			return append(parts, command)
		}
		parts = append(parts, command[:i+1])
		command = command[i+1:]
	}
}
