package report

import "strings"

// grid is a table of the page, its cells aligned by column.
type grid struct {
	Label   string
	Groups  []Group
	Headers []cell
	Rows    [][]cell
	Thinned bool // evenly chosen rows of more
}

type cell struct {
	Text   string
	Number bool // stands at the right
}

// tableFigure is a Table of the Report on the page.
type tableFigure struct {
	Title, Note string
	Data        *grid
}

func tables(all []Table) []tableFigure {
	figures := make([]tableFigure, len(all))
	for i, t := range all {
		figures[i] = tableFigure{t.Title, t.Note, newGrid(t.Title, t.Headers, t.Rows)}
		figures[i].Data.Groups = t.Groups
	}
	return figures
}

// newGrid aligns a column to the right if most of its cells are numbers. Rows may
// be shorter or longer than the headers.
func newGrid(label string, headers []string, rows [][]string) *grid {
	columns := len(headers)
	for _, row := range rows {
		columns = max(columns, len(row))
	}
	numbers := make([]int, columns) // numbers less other texts of each column
	for _, row := range rows {
		for i, text := range row {
			switch {
			case text == "":
			case numeric(text):
				numbers[i]++
			default:
				numbers[i]--
			}
		}
	}
	align := func(texts []string) []cell {
		cells := make([]cell, columns)
		for i := range cells {
			cells[i].Number = numbers[i] > 0
			if i < len(texts) {
				cells[i].Text = texts[i]
			}
		}
		return cells
	}
	g := &grid{Label: label, Headers: align(headers)}
	for _, row := range rows {
		g.Rows = append(g.Rows, align(row))
	}
	return g
}

// numeric reports whether a text begins as a number does.
func numeric(text string) bool {
	text = strings.TrimLeft(text, "−-+<>≤≥≈~ ")
	return text == "–" || text != "" && (text[0] >= '0' && text[0] <= '9' || text[0] == '.')
}
